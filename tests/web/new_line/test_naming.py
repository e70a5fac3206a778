"""A line gets a name from its title, and no other line is touched by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from defectvision.bundle.line import NAME
from defectvision.evaluation.promise import in_words, limit_of
from defectvision.web.new_line.form import expectation
from defectvision.web.new_line.naming import (
    free_name,
    line_name,
    refusal,
    taught_before,
)
from tests.stand_ins.bundles import write_bundle


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Pump housings, left", "pump-housings-left"),
        ("  Gehäuse Größe 2 ", "gehause-grosse-2"),
        ("Öl/Wasser: v1.2", "ol-wasser-v1.2"),
        ("../../etc/passwd", "etc-passwd"),
        ("-- rm -rf", "rm-rf"),
        ("ŁĄCZNIK", "lacznik"),
        ("x" * 80, "x" * 64),
        ("ポンプ", ""),
        ("...", ""),
    ],
)
def test_a_title_makes_a_name_that_every_line_can_have(title: str, name: str) -> None:
    assert line_name(title) == name
    assert not name or NAME.fullmatch(name)


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("", "Give the line a title"),
        ("ポンプ", "letters a to z"),
        ("Casting", "learned classes of defects (ok, def)"),
        ("broken", "line.json"),
        ("Half made", "holds no line"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_in_words(
    tmp_path: Path, title: str, said: str
) -> None:
    write_bundle(tmp_path, "casting", "resnet50")
    (tmp_path / "half-made").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "line.json").write_text("{")
    assert said in refusal(title, tmp_path)


def test_a_line_from_good_parts_may_learn_anew(tmp_path: Path) -> None:
    write_bundle(tmp_path, "casting", "resnet50")
    file = tmp_path / "casting" / "line.json"
    about = json.loads(file.read_text())
    about["classes"][1]["name"] = "deviation"
    file.write_text(json.dumps(about))
    assert refusal("Casting", tmp_path) == "" and taught_before("Casting", tmp_path)
    assert refusal("Castings", tmp_path) == "" and not taught_before("Castings", tmp_path)


def test_weights_that_cannot_be_written_are_named_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file")
    assert str(tmp_path / "weights") in refusal("Pumps", tmp_path / "weights")


def test_a_bundle_is_named_beside_those_that_are_there(tmp_path: Path) -> None:
    assert free_name("memory", tmp_path / "none") == "memory"
    for taken, free in (("memory", "memory-2"), ("memory-2", "memory-3")):
        (tmp_path / taken).mkdir()
        assert free_name("memory", tmp_path) == free


@pytest.mark.parametrize("count", [0, 19])
def test_too_few_photographs_are_told_how_many_are_needed(count: int) -> None:
    assert "At least 20 are needed" in expectation(count)


@pytest.mark.parametrize("count", [20, 25, 58, 59, 300, 3000])
def test_what_to_expect_of_so_many_is_what_is_said_at_the_end(count: int) -> None:
    """Of the limit on the scores of as many parts, and by the share that the recipe asks for."""
    _, share = limit_of(np.arange(float(count)), 0.05)
    assert expectation(count) == in_words(count, share, 0.05)
    assert ("59 would allow 5 %" in expectation(count)) == (count < 59)
