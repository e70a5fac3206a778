"""The gate: each reason in words, bundles with and without it, and frames of nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.reader import list_bundles, load_bundle
from defectvision.bundle.schema import Gate
from defectvision.inference.gate import (
    Objection,
    faults,
    objections_to,
    reasons_in_words,
)
from defectvision.inference.inspector import Inspector
from defectvision.inference.picture_statistics import PictureStatistics, picture_statistics
from defectvision.inference.preprocessing import prepare
from defectvision.limits import PIXELS
from defectvision.settings import ROOT
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting

GATE = Gate(
    file="gate.npz", distance=1, log_odds=1, clipped=0.05, dark=0.2, darkest=60, brightest=190,
    contrast=20, sharpness=-2, scale=0.5, part_needed=True,
)  # fmt: skip
FINE = PictureStatistics(120, 50, 0.0, 0.0, -1.0, 1.0, np.zeros(1))
EVERYTHING_ACCEPTED = Policy(accept_below=1, reject_above=1)
SHIPPED = [
    (folder.parent.name, name)
    for folder in sorted((ROOT / "weights").glob("*/line.json"))
    for name in list_bundles(folder.parent)
]


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "casting", "old")
    return Inspector(load_bundle(weights, "casting", "old"), PIXELS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"clipped": 0.31}, ["over-exposed, 31% of the part clipped"]),
        ({"clipped": 0.31, "level": 230}, ["over-exposed, 31% of the part clipped"]),
        ({"level": 230}, ["too bright, mean grey 230 of 255"]),
        ({"level": 42}, ["too dark, mean grey 42 of 255"]),
        ({"level": 42, "dark": 0.5}, ["too dark, mean grey 42 of 255"]),
        ({"dark": 0.5}, ["under-exposed, 50% of the part black"]),
        ({"contrast": 7}, ["too little contrast, 7 grey levels"]),
        ({"sharpness": -3}, ["out of focus"]),
        ({"scale": 0.25}, ["too few pixels, enlarged 4.0 times"]),
        ({"level": 42, "contrast": 9},
         ["too dark, mean grey 42 of 255", "too little contrast, 9 grey levels"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_picture_is_said(changes, words) -> None:
    assert faults(replace(FINE, **changes), GATE, "part") == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"level": 3, "clipped": 0.9}, []), ({"scale": 0.1}, ["too few pixels, enlarged 10.0 times"])],
)
def test_without_limits_only_too_few_pixels_are_wrong(changes, words) -> None:
    assert faults(replace(FINE, **changes), None, "picture") == words


def statistics(image: np.ndarray, inspector: Inspector) -> PictureStatistics:
    placed = prepare(image, inspector.loaded.bundle.preprocessing)[1]
    return picture_statistics(placed, image.shape[:2], True)


@pytest.mark.parametrize(
    ("change", "name", "sign"),
    [
        (lambda i: cv2.convertScaleAbs(i, alpha=2.5), "clipped", 1),
        (lambda i: cv2.convertScaleAbs(i, alpha=1.3), "level", 1),
        (lambda i: cv2.convertScaleAbs(i, alpha=0.4), "level", -1),
        (lambda i: cv2.convertScaleAbs(i, alpha=0.01), "dark", 1),
        (lambda i: cv2.convertScaleAbs(i, alpha=0.4), "contrast", -1),
        (lambda i: cv2.GaussianBlur(i, (0, 0), 5), "sharpness", -1),
        (lambda i: cv2.resize(i, (100, 100)), "scale", -1),
    ],
)
def test_statistics_move_with_what_they_are_named_for(inspector, change, name, sign) -> None:
    image = cv2.imdecode(np.frombuffer(casting("ok", 3), np.uint8), cv2.IMREAD_GRAYSCALE)
    before, after = (statistics(i, inspector) for i in (image, change(image)))
    assert sign * (getattr(after, name) - getattr(before, name)) > 0
    assert before.all.shape == after.all.shape and np.isfinite(after.all).all()


def test_a_bundle_without_a_gate_goes_by_its_foreign_score(inspector) -> None:
    assert inspector.loaded.bundle.gate is None
    found = inspector.inspect(casting("ok", 3), "a.png")
    assert found.objections == () and found.foreign_score <= 1
    assert [o.kind for o in objections_to(1.01)] == ["unlike"] and objections_to(1.0) == ()


def test_all_reasons_are_one_text() -> None:
    reasons = (Objection("quality", "too dark"), Objection("unlike", "unlike this line"))
    assert reasons_in_words(reasons) == "too dark; unlike this line"
    assert reasons_in_words(()) == ""


def frames() -> dict[str, np.ndarray]:
    """Frames without structure: sizes, greys, colours, depths, gradients and noise."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, 300)
    found = {f"grey {g}": np.full((300, 300), g, np.uint8) for g in (0, 7, 90, 128, 200, 255)}
    found |= {f"{h} x {w}": np.full((h, w), 120, np.uint8) for h, w in ((16, 16), (256, 1600))}
    found["colour"] = np.full((300, 300, 3), (200, 30, 60), np.uint8)
    found["16 bit"] = np.full((300, 300), 40000, np.uint16)
    found["ramp"] = np.tile(ramp, (300, 1)).astype(np.uint8)
    found["colour ramp"] = np.dstack([np.tile(ramp, (300, 1)), *2 * [np.full((300, 300), 90)]])
    found["noise"] = rng.normal(120, 8, (300, 300))
    found["colour noise"] = rng.normal(120, 8, (300, 300, 3))
    found["16-bit noise"] = rng.normal(40000, 900, (300, 300)).astype(np.uint16)
    return found


def encoded(frame: np.ndarray) -> bytes:
    if frame.dtype == np.float64:
        frame = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    return cv2.imencode(".png", frame)[1].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(("line", "bundle"), SHIPPED)
def test_a_frame_of_nothing_gets_no_verdict_on_a_shipped_bundle(line: str, bundle: str) -> None:
    inspector = Inspector(load_bundle(ROOT / "weights", line, bundle), PIXELS)
    for name, frame in frames().items():
        found = inspector.inspect(encoded(frame), name)
        assert found.verdict(EVERYTHING_ACCEPTED) is Verdict.REVIEW, name
        assert found.objection == "nothing to be seen in the picture", name


@pytest.mark.slow
@pytest.mark.parametrize("line", ["casting", "neu-surface", "magnetic-tile", "severstal-strip"])
def test_nor_on_a_bundle_without_a_gate(line: str, tmp_path: Path) -> None:
    write_bundle(tmp_path, line, "old")
    inspector = Inspector(load_bundle(tmp_path, line, "old"), PIXELS)
    for name, frame in frames().items():
        found = inspector.inspect(encoded(frame), name)
        assert found.verdict(EVERYTHING_ACCEPTED) is Verdict.REVIEW, name
