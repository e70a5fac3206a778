"""Photo groups are drawn whole, and the published intervals stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.data.resampling import (
    MOST_UNITS,
    Draws,
    drawn_rows,
    drawn_weights,
    interval,
)

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


def test_counts_are_the_draws_of_weights() -> None:
    groups = np.array([0, 2, 1, 0, 2, 2])
    draws = Draws.of(groups, 20, seed=3)
    values = np.array([[1.0, 5.0], [2.0, 0.5], [0.25, 1.0], [3.0, 1.0], [1.0, 1.0], [4.0, 2.0]])
    wanted = [weights @ values for weights in drawn_weights(groups.tolist(), 20, 3)]
    assert draws.sums(values) == pytest.approx(np.array(wanted))


def test_many_groups_are_drawn_in_bundles_that_vary_as_much() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 3 * MOST_UNITS, 30_000)
    groups = np.unique(groups, return_inverse=True)[1]
    size = groups.max() + 1
    value = rng.normal(size=len(groups)) + rng.normal(size=size)[groups]
    draws = Draws.of(groups, 1000)
    assert draws.counts.shape == (1000, MOST_UNITS) and (draws.counts.sum(1) == MOST_UNITS).all()
    same_group = [np.unique(draws.member[groups == g]).size for g in range(0, size, 500)]
    assert set(same_group) == {1}, "no group is torn apart"
    per_group = np.bincount(draws.member, minlength=MOST_UNITS)
    assert per_group.min() > 0
    spread = draws.sums(value[:, None])[:, 0].std()
    exact = np.bincount(groups, value)
    assert spread == pytest.approx(np.sqrt(((exact - exact.mean()) ** 2).sum()), rel=0.1)
