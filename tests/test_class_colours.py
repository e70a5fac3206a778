"""No defect is drawn in a colour that says "accept", and classes are told apart by all eyes."""

from __future__ import annotations

import tomllib
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ImageColor

from defectvision.bundle.line import DEFECT_COLOURS
from defectvision.bundle.policy import Verdict
from defectvision.bundle.reader import find_lines
from defectvision.report.dataset.style import COLOURS
from defectvision.report.looks import LOOKS
from defectvision.settings import ROOT

THEMES = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))["theme"]
LINES = {line.name: line for line in find_lines(ROOT / "weights").readable}
# Least distance in CIE Lab: of a defect from a verdict, and of two classes of a line.
FROM_VERDICT, APART = 29.0, 20.0
EYES = {
    "all": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "protan": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deutan": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
}  # fmt: skip


def lab(colour: str, eyes: str = "all") -> NDArray[np.float64]:
    """#rrggbb as CIE Lab (D65), as these eyes see it."""
    rgb = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(EYES[eyes] @ linear, 0, 1) / np.array([0.9505, 1, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, eyes: str = "all") -> float:
    return float(np.linalg.norm(lab(one, eyes) - lab(other, eyes)))


def verdict_colours(verdict: Verdict) -> set[str]:
    """What stands for the verdict in pictures, in charts and in both themes."""
    look = LOOKS[verdict]
    return {look.hex, *(THEMES[mode][f"{look.colour}Color"] for mode in ("light", "dark"))}


DEFECTS = {
    **{name: [line.colour_of(n) for n in line.defect_names] for name, line in LINES.items()},
    "a new line": list(DEFECT_COLOURS),
}


@pytest.mark.parametrize("name", DEFECTS)
@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT])
def test_no_defect_has_the_colour_of_a_verdict(name: str, verdict: Verdict) -> None:
    for colour in DEFECTS[name]:
        near = {v: distance(colour, v) for v in verdict_colours(verdict)}
        assert min(near.values()) >= FROM_VERDICT, f"{colour} of {name}: {near}"


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("name", DEFECTS)
def test_the_defects_of_a_line_are_told_apart(name: str, eyes: str) -> None:
    for one, other in combinations(DEFECTS[name], 2):
        assert distance(one, other, eyes) >= APART, (one, other)


def test_no_class_of_a_labelled_set_is_drawn_in_the_green_of_accept() -> None:
    green = verdict_colours(Verdict.ACCEPT)
    assert min(distance(c, g) for c in COLOURS for g in green) >= FROM_VERDICT
