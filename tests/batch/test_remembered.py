"""What is said of good parts that joined a bundle's memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.batch.remembered import Part, Remembered
from defectvision.bundle.policy import Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.store.grown_bundle import next_name, versions_of

ACCEPT, REVIEW, REJECT = Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT
JOINED = Part("new.png", True, True, 0.9, 0.2, REVIEW, ACCEPT)


@pytest.mark.parametrize(
    ("part", "warning"),
    [
        (Part("a", False, False, 0.9, 0.2, REVIEW, ACCEPT), "1 defective part that was stopped"),
        (Part("a", False, False, 0.3, 0.1, ACCEPT, ACCEPT), "lies nearer to what joined"),
        (Part("a", False, False, 0.99, 0.98, REJECT, REVIEW), "lies nearer to what joined"),
        (Part("a", False, False, 0.99, 0.988, REJECT, REJECT), ""),
        (Part("a", True, False, 0.9, 0.1, REVIEW, ACCEPT), ""),
        (Part("a", True, True, 0.9, 0.8, REVIEW, REVIEW), "stopped all the same"),
    ],
)
def test_what_speaks_against_a_version_is_said(weights: Path, part: Part, warning: str) -> None:
    bundle = load_bundle(weights, "casting")
    said = Remembered(bundle, "memory", 3, (JOINED, part)).warnings
    assert len(said) == bool(warning)
    assert warning in "".join(said)


def test_who_knows_no_defect_is_told_so(weights: Path) -> None:
    bundle = load_bundle(weights, "casting")
    others = [Part(str(i), True, False, 0.9, 0.1, REVIEW, ACCEPT) for i in range(3)]
    words = Remembered(bundle, "memory", 3, (JOINED, *others)).words
    assert "Of 3 other good parts that people decided on, 3 were stopped, and 0 are now." in words
    assert "it is not known whether one would pass now" in words
    bad = Part("bad", False, False, 0.9, 0.9, REVIEW, REVIEW)
    words = Remembered(bundle, "memory", 3, (JOINED, bad)).words
    assert words == "Of 1 defective part that people decided on, 1 was stopped, and 1 is now."


def test_versions_are_counted_on(tmp_path: Path) -> None:
    assert next_name(tmp_path, "memory") == "memory-plus-1"
    for name in ("memory", "memory-plus-1", "memory-plus-12", "memory-plus-x", "other-plus-3"):
        (tmp_path / name).mkdir()
    assert next_name(tmp_path, "memory") == next_name(tmp_path, "memory-plus-1") == "memory-plus-13"
    found = versions_of(sorted(p.name for p in tmp_path.iterdir()), "memory-plus-1")
    assert found == ["memory", "memory-plus-1", "memory-plus-12"]
