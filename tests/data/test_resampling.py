"""Photo groups are drawn whole, and the published intervals stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.data.resampling import drawn_rows, drawn_weights, interval

GROUPS = ["b", "a", "b", "c", "a", "b"]


def test_images_of_a_group_are_drawn_together():
    for weights in drawn_weights(GROUPS, 50, seed=0):
        assert weights[0] == weights[2] == weights[5] and weights[1] == weights[4]
        assert weights[0] + weights[1] + weights[3] == 3
    for rows in drawn_rows(GROUPS, 50, seed=0):
        counts = np.bincount(rows, minlength=6)
        assert counts[0] == counts[2] == counts[5] and counts[1] == counts[4]


def test_the_random_numbers_are_those_of_the_published_figures():
    first = next(drawn_weights(["a", "b", "c", "d"], 1, seed=0))
    rng = np.random.default_rng(0)
    assert first.tolist() == rng.multinomial(4, [0.25] * 4, size=1)[0].tolist()
    (rows,) = drawn_rows(["a", "b", "c", "d"], 1, seed=0)
    assert rows.tolist() == np.random.default_rng(0).integers(0, 4, 4).tolist()


def test_one_group_has_nothing_to_draw_from():
    assert drawn_rows(["a", "a"], 5, seed=0) == []


def test_an_interval_leaves_out_draws_without_a_figure():
    assert interval([np.nan, 1.0, 3.0, np.nan]) == (pytest.approx(1.05), pytest.approx(2.95))
    assert interval([np.nan]) is None
