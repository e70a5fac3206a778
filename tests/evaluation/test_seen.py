"""Which images a bundle knows: by their bytes, as copies, or by their photo group."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import FINGERPRINTS_FILE, SEEN_FILE
from defectvision.copies.fingerprints import FingerprintError
from defectvision.data.image_set import ImageSet, open_set
from defectvision.data.synthetic.samples import draw
from defectvision.evaluation.kept import UNSEEN
from defectvision.evaluation.seen import (
    NEAR_COPY,
    SAME_GROUP,
    SAME_IMAGE,
    how_seen,
    image_digest,
    in_words,
    make_fingerprints,
)

LIMIT = 10**6


def test_a_damaged_list_of_what_was_learned_from_is_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / SEEN_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match=rf"{SEEN_FILE}: .* damaged. Copy the whole bundle"):
        how_seen(open_set(tmp_path / "learned", LIMIT), bundle)


def picture(seed: int) -> np.ndarray:
    return draw("casting", "ok", np.random.default_rng(seed), 240)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder with what a bundle keeps of pictures 0 and 1, which lie in `tmp_path/learned`."""
    (tmp_path / "learned/ok").mkdir(parents=True)
    for seed in range(2):
        cv2.imwrite(str(tmp_path / f"learned/ok/{seed}.png"), picture(seed))
    learned = open_set(tmp_path / "learned", LIMIT)
    folder = tmp_path / "bundle"
    folder.mkdir()
    digests = [image_digest(learned.catalog.image_path(i)) for i in range(2)]
    (folder / SEEN_FILE).write_text("\n".join(digests) + "\n")
    (folder / FINGERPRINTS_FILE).write_bytes(make_fingerprints(learned).content())
    return folder


@pytest.fixture
def asked(tmp_path: Path) -> ImageSet:
    """Picture 0 itself, one of its group, a copy of picture 1, one of that copy's group, another
    part, and a file that is no image."""
    folder = tmp_path / "asked"
    folder.mkdir()
    copy = np.rot90(picture(1))[:, ::-1] * 0.9
    files = {"a": picture(0), "b": picture(20), "c": copy, "d": picture(21), "e": picture(22)}
    for name, image in files.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    (folder / "f.png").write_bytes(b"no image")
    rows = ["path,label,photo_group", "a.png,ok,1", "b.png,ok,1", "c.png,ok,2", "d.png,ok,2"]
    (folder / "index.csv").write_text("\n".join([*rows, "e.png,ok,3", "f.png,ok,4"]) + "\n")
    return open_set(folder, LIMIT)


def test_an_image_is_known_by_its_bytes_as_a_copy_or_by_its_group(bundle, asked) -> None:
    told = []
    known = how_seen(asked, bundle, lambda: told.append(1))
    assert known == [SAME_IMAGE, SAME_GROUP, NEAR_COPY, SAME_GROUP, UNSEEN, UNSEEN]
    assert len(told) == 6
    assert in_words(known) == (
        "4 of 6 images are known: 1 that the bundle learned from, 1 that are copies of such, "
        "2 of the photo groups of these"
    )


def test_a_bundle_without_fingerprints_knows_files_and_groups(bundle, asked) -> None:
    (bundle / FINGERPRINTS_FILE).unlink()
    assert how_seen(asked, bundle) == [SAME_IMAGE, SAME_GROUP, *[UNSEEN] * 4]
    (bundle / SEEN_FILE).unlink()
    assert how_seen(asked, bundle) == [UNSEEN] * 6


def test_fingerprints_that_cannot_be_read_are_named(bundle, asked) -> None:
    (bundle / FINGERPRINTS_FILE).write_bytes(b"x")
    with pytest.raises(FingerprintError, match=r"fingerprints\.npz: holds no fingerprints.*again"):
        how_seen(asked, bundle)
