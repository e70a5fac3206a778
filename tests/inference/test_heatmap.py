"""Colours of evidence: sign, scale and place are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.inference.frame import Frame
from defectvision.inference.heatmap import (
    colourise,
    lay_over,
    legend_colours,
    scale_of,
    tick_text,
    ticks,
)


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


@pytest.mark.parametrize(
    ("most", "expected"),
    [(0.0, 1.0), (0.4, 1.0), (1.0, 1.0), (1.01, 1.5), (7.0, 8.0), (95.0, 100.0)],
)
def test_the_scale_is_the_next_round_number(most: float, expected: float) -> None:
    evidence = np.array([[[0.0, -most]], [[most / 2, 0.0]]], np.float32)
    assert scale_of(evidence) == expected


def test_numbers_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="not finite"):
        scale_of(np.array([[[np.nan]]], np.float32))
    with pytest.raises(ValueError, match="above 0"):
        colourise(np.zeros((2, 2), np.float32), scale=0.0)


def test_ticks_are_symmetric_and_carry_their_sign() -> None:
    assert ticks(4.0) == [-4, -2, 0, 2, 4]
    assert [tick_text(v) for v in (-1000.0, -1.5, 0.0, 1.5)] == ["−1,000", "−1.5", "0", "+1.5"]
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
