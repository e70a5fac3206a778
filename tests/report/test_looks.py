"""Verdicts look the same wherever they are shown, and nobody needs to tell colours apart."""

import re
import tomllib
from pathlib import Path

import pytest

from defectvision.bundle.policy import Verdict
from defectvision.report.looks import (
    IMAGES,
    LOOKS,
    NOT_INSPECTED,
    log_counts,
    remarks,
    verdicts_of,
    whole_numbers,
)
from tests.stand_ins.bundles import LINES

ROOT = Path(__file__).resolve().parents[2]
CODE = [*ROOT.glob("defectvision/**/*.py"), *ROOT.glob("pages/*.py")]


def test_each_verdict_has_a_word_an_icon_and_a_sign_of_its_own() -> None:
    shown = [*LOOKS.values(), NOT_INSPECTED]
    assert set(LOOKS) == set(Verdict)
    for of in ("word", "icon", "sign", "colour", "hex"):
        assert len({getattr(look, of) for look in shown}) == len(shown)
    assert LOOKS[Verdict.REJECT].signed == "✕ Reject"
    assert LOOKS[Verdict.ACCEPT].markdown == ":green[:material/check_circle: Accept]"


def test_the_light_theme_names_the_same_colours() -> None:
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]["light"]
    for look in (*LOOKS.values(), NOT_INSPECTED, IMAGES):
        assert theme[f"{look.colour}Color"] == look.hex


def test_no_other_file_says_what_colour_a_verdict_has() -> None:
    colours = {look.hex for look in LOOKS.values()}
    triples = {tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in colours}
    for file in CODE:
        if file.name == "looks.py":
            continue
        text = file.read_text("utf-8")
        assert not colours & set(re.findall(r"#[0-9a-f]{6}", text)), file
        numbers = re.findall(r"\((\d{1,3}), (\d{1,3}), (\d{1,3})\)", text)
        assert not triples & {tuple(map(int, found)) for found in numbers}, file


def test_a_line_that_cannot_accept_shows_no_accept() -> None:
    assert verdicts_of(LINES["casting"]) == (Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT)
    assert verdicts_of(LINES["neu-surface"]) == (Verdict.REVIEW, Verdict.REJECT)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((False, ""), ""),
        ((True, ""), "Synthetic sample"),
        ((False, "unlike this line", ["the same file as another"]),
         "Unlike this line, the same file as another"),
        ((True, "too dark"), "Too dark, synthetic sample"),
    ],
)  # fmt: skip
def test_what_must_be_known_stands_in_one_remark(known, expected) -> None:
    assert remarks(*known) == expected


@pytest.mark.parametrize(("most", "step"), [(0, 1), (1, 1), (5, 1), (6, None), (9000, None)])
def test_an_axis_of_few_counts_has_whole_numbers_alone(most: int, step: int | None) -> None:
    assert whole_numbers(most).get("dtick") == step


@pytest.mark.parametrize("most", [0, 1, 7, 9000])
def test_a_logarithmic_axis_of_counts_begins_just_below_one(most: int) -> None:
    low, high = log_counts(most)["range"]
    assert 0.5 < 10**low < 1 <= max(most, 1) < 10**high
