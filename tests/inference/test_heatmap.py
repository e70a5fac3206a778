"""Colours of evidence: sign, scale and place are what they say they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectvision.bundle.line import Line
from defectvision.bundle.reader import load_bundle
from defectvision.inference.frame import Frame
from defectvision.inference.heatmap import (
    FULL,
    colourise,
    decision_step,
    evidence_heatmap,
    gradient_heatmap,
    lay_over,
    legend_colours,
    shares,
    tick_text,
    ticks,
)
from defectvision.inference.inspection import Inspection, Milliseconds
from defectvision.inference.probabilities import tempered
from tests.stand_ins.bundles import write_bundle


def test_zero_is_transparent_and_the_signs_have_their_colours() -> None:
    values = np.array([[-2.0, -0.5, 0.0, 0.5, 2.0]], np.float32)
    red, _, blue, alpha = colourise(values, scale=2.0)[0].T.astype(int)
    assert alpha[2] <= 2
    assert (blue[:2] > red[:2]).all() and (red[3:] > blue[3:]).all()
    assert alpha[0] == alpha[4] > alpha[1] == alpha[3] > 60


def test_opacity_grows_with_the_amount_and_stays_full_beyond_the_scale() -> None:
    values = np.linspace(0, 3, 61, dtype=np.float32)[None]
    for palette in ("signed", "unsigned"):
        alpha = colourise(values, scale=2.0, palette=palette)[0, :, 3].astype(int)
        assert (np.diff(alpha) >= 0).all()
        assert (alpha[40:] == alpha[40]).all() and alpha[40] > 230


def test_both_directions_are_told_apart_without_red_and_green() -> None:
    """A deuteranope confuses red and green, so their mean against blue must do."""
    low, high = legend_colours("signed", 3)[0], legend_colours("signed", 3)[-1]
    yellow_blue = [(r + g) / 2 - b for r, g, b, _ in (low, high)]
    assert yellow_blue[0] < -40 and yellow_blue[1] > 40


@pytest.fixture
def line(tmp_path: Path) -> Line:
    return load_bundle(write_bundle(tmp_path, "casting", "resnet50").parents[1], "casting").line


def inspected(gain: float, line: Line) -> Inspection:
    """One hot place of a defect, and everywhere a little against a good part."""
    evidence = np.full((2, 3, 4), -0.5, np.float32)
    evidence[1] = 0
    evidence[1, 1, 2] = gain
    bias = np.array([0.25, -0.25], np.float32)
    return Inspection(
        name="part.png",
        line=line,
        bundle_version="0",
        frame=Frame((30, 40), (30, 40), np.eye(2, 3)),
        logits=evidence.mean((1, 2)) + bias,
        probabilities={"ok": 0.25, "def": 0.75},
        defect_score=0.75,
        foreign_score=0.0,
        evidence=evidence,
        evidence_bias=bias,
        inside=np.ones((30, 40), bool),
        part_found=False,
        milliseconds=Milliseconds(0, 0, 0),
    )


def test_two_parts_are_drawn_on_one_scale(line: Line) -> None:
    """The same evidence has the same colour, whatever else an image shows."""
    faint, strong = (evidence_heatmap(inspected(gain, line), "ok", 0.5) for gain in (1.0, 900.0))
    assert faint.scale == strong.scale == FULL
    assert (faint.values == strong.values).all()
    grids = [colourise(h.values, h.scale) for h in (faint, strong)]
    assert (grids[0] == grids[1]).all()


@pytest.mark.parametrize("temperature", [0.2, 1.0, 2.4])
def test_the_shares_of_all_places_are_the_logit_without_its_constant(
    line: Line, temperature: float
) -> None:
    """A logit that was led from probability 1 % to 99 % is one whole decision."""
    one = inspected(12.0, line)
    drawn = evidence_heatmap(one, "def", temperature)
    added = float(one.logits[1] - one.evidence_bias[1])
    assert drawn.values.sum() == pytest.approx(added / decision_step(temperature))
    low, high = -decision_step(temperature) / 2, decision_step(temperature) / 2
    before, after = (1 / (1 + np.exp(-logit / temperature)) for logit in (low, high))
    assert (before, after) == (pytest.approx(0.01), pytest.approx(0.99))


def test_the_legend_says_the_scale_in_words_and_keeps_the_arithmetic_apart(line: Line) -> None:
    drawn = evidence_heatmap(inspected(12.0, line), "def", 0.5)
    assert "share of the decision" in drawn.unit and "5 %" in drawn.unit
    for words in ("bias", "logit", "temperature 0.50", "3 × 4 places", "4.60"):
        assert words in drawn.sums_to and words not in drawn.unit


def test_the_arithmetic_goes_on_to_a_calibrated_probability(line: Line) -> None:
    """The evidence adds up to the logit; what comes after it is told step by step."""
    one = inspected(12.0, line)
    plain = float(tempered(one.logits, 0.5, line)[1])
    assert plain != pytest.approx(one.probabilities["def"], abs=0.01)
    told = evidence_heatmap(one, "def", 0.5).sums_to
    assert f"{plain:.3f}, calibrated on images held out: probability 0.750" in told
    assert "99 % before calibration" in told
    same = replace(one, probabilities={"ok": 1 - plain, "def": plain})
    told = evidence_heatmap(same, "def", 0.5).sums_to
    assert f": probability {plain:.3f}. " in told and "calibra" not in told


def test_a_method_that_knows_no_class_is_not_labelled_with_one(line: Line) -> None:
    values = np.zeros((3, 4), np.float32)
    one = inspected(1.0, line)
    of_class = gradient_heatmap(one, "def", "Grad-CAM", values)
    classless = gradient_heatmap(one, "def", "EigenCAM", values)
    assert of_class.meaning == ("matters for Defective",)
    assert classless.meaning == ("what the network looked at, whatever the class",)
    assert "Defective" not in " ".join((*classless.meaning, classless.sums_to))


def test_numbers_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="not finite"):
        shares(np.array([[np.nan]], np.float32), 1.0)
    with pytest.raises(ValueError, match="above 0"):
        colourise(np.zeros((2, 2), np.float32), scale=0.0)


def test_ticks_are_symmetric_and_carry_their_sign() -> None:
    assert ticks(0.04) == [-0.04, -0.02, 0, 0.02, 0.04]
    assert [tick_text(v) for v in (-0.05, -0.025, 0.0, 0.05)] == ["−5 %", "−2.5 %", "0", "+5 %"]
    assert [tick_text(v, "unsigned") for v in ticks(1.0, "unsigned")] == ["0", "0.5", "1"]


@pytest.mark.parametrize("size", [(300, 200), (31, 97), (640, 640)])
def test_a_shrunk_map_shows_the_same_places(size: tuple[int, int]) -> None:
    """The cell that is hot lies at the same share of the image whatever the size drawn."""
    values = np.zeros((7, 7), np.float32)
    values[1, 5] = 1
    to_image = np.array([[size[1] / 70, 0, 0], [0, size[0] / 70, 0]])
    centres = []
    for longest in (max(size), 64):
        shrunk = Frame(size, (70, 70), to_image).shrunk(longest)
        shape = shrunk.image_size
        assert max(shape) <= longest
        drawn = shrunk.on_image(values)
        y, x = np.mgrid[: shape[0], : shape[1]]
        weight = drawn / drawn.sum()
        centres.append(
            (((y + 0.5) * weight).sum() / shape[0], ((x + 0.5) * weight).sum() / shape[1])
        )
    assert np.allclose(centres[0], centres[1], atol=0.01)


def test_laying_over_mixes_by_opacity() -> None:
    image = np.full((4, 6), 100, np.uint8)
    colours = np.zeros((4, 6, 4), np.uint8)
    colours[:, 3:] = (200, 0, 0, 255)
    mixed = lay_over(image, colours, opacity=0.5)
    assert mixed.shape == (4, 6, 3) and mixed.dtype == np.uint8
    assert (mixed[:, :3] == 100).all()
    assert (mixed[:, 3:] == (150, 50, 50)).all()


def test_resizing_draws_no_fringe_of_invisible_colours() -> None:
    """A transparent pixel's own colour must not bleed into the picture."""
    image = np.full((40, 40), 100, np.uint8)
    colours = np.zeros((4, 4, 4), np.uint8)
    colours[:, :, :3] = (0, 255, 0)
    colours[:, 2:] = (255, 0, 0, 255)
    mixed = lay_over(image, colours)
    assert mixed[:, :, 1].max() <= 100
