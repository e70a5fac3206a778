"""Curves are taken where held-out photo groups clearly support them, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.bundle.schema import DEFECT_SCORE, Beta, Calibration
from defectvision.evaluation.calibration import (
    calibration_gap,
    choose_curve,
    fit_beta,
    fit_calibration,
    fit_isotonic,
)
from defectvision.inference.probabilities import apply, sigmoid
from tests.stand_ins.bundles import LINES

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(truth, count: int = 1500, groups: int = 300, seed: int = 0) -> Drawn:
    """Log-odds that a model says, whether it comes true, and photo groups; `truth` gives the right
    log-odds for those that are said."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 3, count)
    true = rng.random(count) < sigmoid(truth(odds))
    return odds, true, np.array([f"{i % groups}" for i in range(count)])


@pytest.mark.parametrize(
    "truth",
    [
        lambda odds: odds / 3,  # far too sure
        lambda odds: odds + 2,
        lambda odds: np.where(odds > 0, odds / 4, 2 * odds),
        lambda odds: 3 * np.sign(odds) * (np.abs(odds) > 1),
    ],
)
def test_a_curve_brings_what_is_said_to_what_comes_true(truth) -> None:
    odds, true, groups = drawn(truth)
    found = choose_curve(odds, true, groups)
    assert found is not None
    curve, rate = found
    assert rate.after.value < 0.6 * rate.before.value and rate.gain.low > 0
    fresh, comes, _ = drawn(truth, count=20_000, seed=1)
    before, after = (calibration_gap(sigmoid(o), comes) for o in (fresh, apply(curve, fresh)))
    assert after < 0.04 and after < 0.6 * before


@pytest.mark.parametrize(
    ("truth", "count", "groups"),
    [
        (lambda odds: odds, 1500, 300),  # right as it is
        (lambda odds: odds / 3, 1500, 12),  # too few groups to tell
        (lambda odds: odds + 12, 300, 300),  # hardly one that is good
    ],
)
def test_without_clear_support_nothing_is_fitted(truth, count, groups) -> None:
    assert choose_curve(*drawn(truth, count, groups)) is None


@pytest.mark.parametrize("fit", [fit_beta, fit_isotonic])
def test_few_images_without_an_error_make_nobody_sure(fit) -> None:
    """Ten groups of each kind, told apart without a mistake, promise no more than 11 of 12."""
    odds = np.repeat([-4.0, 4.0], 10) + np.linspace(0, 0.1, 20)
    curve = fit(odds, odds > 0, np.arange(20).astype(str))
    assert sigmoid(apply(curve, np.array([-4.0, 4.0]))) == pytest.approx(
        [1 / 12, 11 / 12], abs=0.03
    )


def test_beta_finds_the_numbers_that_the_answers_were_drawn_by() -> None:
    wanted = Beta(a=0.5, b=1.5, c=0.7)
    odds, true, groups = drawn(lambda odds: apply(wanted, odds), 60_000, 60_000)
    found = fit_beta(odds, true, groups)
    assert (found.a, found.b, found.c) == pytest.approx((0.5, 1.5, 0.7), abs=0.08)


def test_each_class_of_a_multilabel_line_is_asked_for_itself() -> None:
    line = LINES["severstal-strip"]
    odds, true, groups = drawn(lambda odds: odds / 3)
    right, comes, _ = drawn(lambda odds: odds, seed=2)
    probabilities = np.full((len(odds), 4), 1e-3)
    probabilities[:, 0], probabilities[:, 2] = sigmoid(odds), sigmoid(right)
    labels = [
        "|".join(n for n, shows in (("1", a), ("3", b)) if shows)
        for a, b in zip(true, comes, strict=True)
    ]
    found = fit_calibration(probabilities, labels, groups.tolist(), line, "x")
    assert isinstance(found, Calibration)
    assert set(found.curves) == set(found.rates) == {"1"}
    assert (found.images, found.groups) == (1500, 300)


def test_a_line_is_calibrated_by_its_defect_score_and_one_that_only_names_not_at_all() -> None:
    odds, true, groups = drawn(lambda odds: odds / 3)
    tiles, steel = LINES["magnetic-tile"], LINES["neu-surface"]
    probabilities = np.zeros((len(odds), 6))
    probabilities[:, 0] = 1 - sigmoid(odds)
    probabilities[:, 3] = sigmoid(odds)
    labels = np.where(true, "crack", "free").tolist()
    found = fit_calibration(probabilities, labels, groups.tolist(), tiles, "x")
    assert found is not None and set(found.curves) == {DEFECT_SCORE}
    labels = np.where(true, "patches", "crazing").tolist()
    assert fit_calibration(probabilities, labels, groups.tolist(), steel, "x") is None


def test_the_gap_counts_weights_and_is_nothing_where_all_comes_true_as_said() -> None:
    said, true = (
        np.array([0.25] * 4 + [0.9] * 10),
        np.array([True] + [False] * 3 + [True] * 9 + [False]),
    )
    assert calibration_gap(said, true) == pytest.approx(0)
    twice = np.repeat(np.arange(14), 2)
    weights = np.random.default_rng(0).integers(0, 4, 14)
    drawn_again = np.repeat(np.arange(14), weights)
    assert calibration_gap(said, true, weights) == pytest.approx(
        calibration_gap(said[drawn_again], true[drawn_again])
    )
    assert calibration_gap(said[twice], ~true[twice]) == pytest.approx((4 * 0.5 + 10 * 0.8) / 14)
