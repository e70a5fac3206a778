"""A line gets a name from its title, and no other line is touched by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from defectvision.bundle.line import NAME
from defectvision.web.new_line.form import expectation
from defectvision.web.new_line.naming import line_name, refusal, taught_before
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


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "At least 20 are needed"),
        (19, "At least 20 are needed"),
        (20, "**1 in 7** good parts may be stopped. 300 photographs would allow 1 in 100"),
        (30, "**1 in 10** good parts may be stopped. 300 photographs would allow 1 in 100"),
        (300, "**1 in 100** good parts may be stopped."),
        (3000, "**1 in 1,001** good parts may be stopped."),
    ],
)
def test_what_to_expect_of_so_many_is_one_plain_sentence(count: int, said: str) -> None:
    assert said in expectation(count)
    assert ("would allow" in expectation(count)) == (20 <= count < 300)
