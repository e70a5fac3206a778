"""Fingerprints know a changed copy, no other part, and no file that is not one of theirs."""

from __future__ import annotations

import io
import zipfile

import cv2
import numpy as np
import pytest

from defectvision.copies import fingerprints
from defectvision.copies.fingerprints import (
    KEPT,
    LEAST,
    MOST,
    POINT_BYTES,
    FingerprintError,
    Fingerprints,
    Marks,
)
from defectvision.copies.keypoints import detect
from defectvision.data.synthetic.samples import draw

SIZE = 300


def picture(seed: int) -> np.ndarray:
    return draw("casting", "def", np.random.default_rng(seed), SIZE)


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)


@pytest.fixture(scope="module")
def known() -> Fingerprints:
    """Of six drawn castings, each a group of its own."""
    return Fingerprints.of((str(seed), detect(picture(seed))) for seed in range(6))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.copy(),
        lambda image: turned(image, 137),
        lambda image: turned(image, -20)[:, ::-1].copy(),
        lambda image: np.clip(image * 0.7, 0, 255).astype(np.uint8),
        lambda image: cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA),
        lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [1, 40])[1], cv2.IMREAD_GRAYSCALE),
    ],
)
def test_a_changed_copy_is_known(known: Fingerprints, change) -> None:
    for seed in range(3):
        assert known.knows(detect(change(picture(seed))))


def test_another_part_and_noise_are_not_known(known: Fingerprints) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), np.uint8)
    assert not any(known.knows(detect(picture(seed))) for seed in range(100, 112))
    assert not known.knows(detect(noise))


@pytest.mark.parametrize("grey", [np.full((64, 64), 77, np.uint8), np.zeros((8, 8), np.uint8)])
def test_a_picture_without_points_is_neither_kept_nor_known(
    known: Fingerprints, grey: np.ndarray
) -> None:
    assert not known.knows(detect(grey))
    assert len(Fingerprints.of([("", detect(grey))])) == 0


def test_nothing_is_known_of_no_pictures() -> None:
    empty = Fingerprints.read(Fingerprints.of(()).content())
    assert len(empty) == 0 and not empty.knows(detect(picture(0)))


def test_what_is_written_is_what_is_read_and_small(known: Fingerprints) -> None:
    content = known.content()
    again = Fingerprints.read(content)
    assert (again.counts == known.counts).all() and (again.points == known.points).all()
    assert again.content() == content
    assert len(content) < len(known) * KEPT * POINT_BYTES + 1000
    assert KEPT * POINT_BYTES * MOST < 4.2e6


def test_packing_moves_a_point_by_less_than_what_counts_as_agreeing() -> None:
    marks = Marks.of(detect(picture(1)))
    packed = Marks.unpacked(marks.packed())
    assert len(packed.bits) == KEPT
    assert np.abs(packed.places - marks.places[:KEPT]).max() < fingerprints.REACH_PX / 4
    assert (packed.bits == marks.bits[:KEPT]).all()
    apart = np.abs((packed.angles - marks.angles[:KEPT] + 180) % 360 - 180)
    assert apart.max() < 1 and np.abs(packed.octaves - marks.octaves[:KEPT]).max() < 0.03
    assert marks.agreeing(packed) >= KEPT - 2


def test_where_there_are_too_many_every_group_keeps_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MOST", 4)
    pictures = [("large", detect(picture(seed))) for seed in range(6)]
    kept = Fingerprints.of([*pictures, ("small", detect(picture(9)))])
    assert len(kept) == 4
    assert kept.knows(detect(picture(0))) and kept.knows(detect(picture(9)))
    assert not kept.knows(detect(picture(5)))


def archive(**arrays: np.ndarray | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, values in arrays.items():
            if isinstance(values, bytes):
                file.writestr(f"{name}.npy", values)
                continue
            held = io.BytesIO()
            np.save(held, values, allow_pickle=True)
            file.writestr(f"{name}.npy", held.getvalue())
    return out.getvalue()


def header(shape: str) -> bytes:
    """Of an array that is said to have a shape, without its content."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


NONE = np.zeros((0, POINT_BYTES), np.uint8)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no more",
        archive(counts=np.zeros(0, np.uint8)),
        archive(counts=np.array([3], np.uint8), points=NONE),
        archive(counts=np.array([KEPT + 1], np.uint8),
                points=np.zeros((KEPT + 1, POINT_BYTES), np.uint8)),
        archive(counts=np.zeros(MOST + 1, np.uint8), points=NONE),
        archive(counts=np.zeros(0, np.uint8), points=np.zeros((0, 7), np.uint8)),
        archive(counts=np.zeros((0, 2), np.uint8), points=NONE),
        archive(counts=np.zeros(0, np.int64), points=NONE),
        archive(counts=np.array([object()]), points=NONE),
        archive(counts=header("(10**12,)"), points=NONE),
        archive(counts=header("(1000000000000,)"), points=NONE),
        archive(counts=header("(-1, -1)"), points=NONE),
        archive(counts=np.zeros(0, np.uint8), points=np.zeros(20_000_000, np.uint8)),
    ],
)  # fmt: skip
def test_what_holds_no_fingerprints_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(FingerprintError, match="holds no fingerprints"):
        Fingerprints.read(content)


def test_points_agree_by_one_map_and_not_by_their_looks_alone() -> None:
    """The same points, each somewhere else, are no copy."""
    marks = Marks.of(detect(picture(2)))
    moved = np.random.default_rng(0).permutation(marks.places)
    assert marks.agreeing(Marks(moved, marks.angles, marks.octaves, marks.bits)) < LEAST
