"""Make a model's probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_expit, log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import GroupKFold

from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.bundle.schema import (
    DEFECT_SCORE,
    Beta,
    Calibration,
    CalibrationRate,
    Curve,
    Isotonic,
    Measure,
)
from defectvision.data.resampling import drawn_weights, interval, interval_about
from defectvision.inference.probabilities import apply, log_odds, sigmoid

BINS = 10
FOLDS = 5
LEAST_GROUPS = 20  # photo groups, of which some show the class and some do not
LEAST_OF_EACH = 5
DRAWS = 1000
LEAST_RISE = 1e-3  # of the log-odds, between two points of a curve

Flags = NDArray[np.bool_]
Odds = NDArray[np.float64]


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[Any]) -> float:
    """The temperature by which logits (N, C) are divided so that the softmax fits `targets` (N,)
    best, every class counting the same (Guo et al. 2017, https://arxiv.org/abs/1706.04599); where
    `targets` is (N, C) of 0 and 1, so that the sigmoids fit them.

    Searched in 0.2 .. 10: few images without an error would drive it to zero.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        if targets.ndim == 2:
            return float(-log_expit(np.where(targets > 0, scaled, -scaled)).sum())
        counts = np.bincount(targets, minlength=logits.shape[1])
        logs = log_softmax(scaled, axis=1)
        return float(-(logs[np.arange(len(targets)), targets] / counts[targets]).sum())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(10)), method="bounded")
    return float(np.exp(found.x))


def fit_calibration(
    probabilities: NDArray[np.float64],
    labels: list[str],
    groups: list[str],
    line: Line,
    fitted_on: str,
) -> Calibration | None:
    """The curves that held-out images clearly support; None where they support none.

    probabilities: (N, C) as the temperature leaves them; labels: of each image, several joined by
    `|`; groups: (N,) photo groups. A line that only names defects has no defect score, so nothing
    but a temperature fits it.
    """
    asked = _questions(probabilities, labels, line)
    curves, rates = {}, {}
    for name, (odds, true) in asked.items():
        found = choose_curve(odds, true, np.asarray(groups))
        if found is not None:
            curves[name], rates[name] = found
    if not curves:
        return None
    return Calibration(
        curves=curves,
        rates=rates,
        fitted_on=fitted_on,
        images=len(labels),
        groups=len(set(groups)),
    )


def _questions(
    probabilities: NDArray[np.float64], labels: list[str], line: Line
) -> dict[str, tuple[Odds, Flags]]:
    """By name of its curve, each yes-or-no question's log-odds and true answers (N,)."""
    if line.label_mode == "multilabel":
        named = [label_names(label) for label in labels]
        return {
            name: (
                log_odds(probabilities[:, i], 1 - probabilities[:, i]),
                np.array([name in names for names in named], bool),
            )
            for i, name in enumerate(line.class_names)
        }
    if not line.can_accept:
        return {}
    good = np.array([c.kind == "ok" for c in line.classes])
    defective = np.array([label not in line.good_names for label in labels], bool)
    odds = log_odds(probabilities[:, ~good].sum(1), probabilities[:, good].sum(1))
    return {DEFECT_SCORE: (odds, defective)}


def choose_curve(
    odds: Odds, true: Flags, groups: NDArray[Any]
) -> tuple[Curve, CalibrationRate] | None:
    """The curve of the least log loss on photo groups that it was not fitted on, and what it gains
    there; None unless it gains in 97.5 % of the draws of the groups, and where groups are too few
    to tell."""
    names, member = np.unique(groups, return_inverse=True)
    shown = [len(np.unique(member[true == answer])) for answer in (False, True)]
    if len(names) < LEAST_GROUPS or min(shown) < LEAST_OF_EACH:
        return None
    before = _loss(odds, true)
    tried = []
    for fit in FITS:
        held = np.zeros_like(odds)
        for rest, out in GroupKFold(FOLDS, shuffle=True, random_state=0).split(odds, groups=groups):
            held[out] = apply(fit(odds[rest], true[rest], groups[rest]), odds[out])
        tried.append((fit, held, before - _loss(held, true)))
    fit, held, gains = max(tried, key=lambda one: one[2].mean())
    spread = [float(np.average(gains, weights=w)) for w in _draws(groups)]
    gain = _measured(float(gains.mean()), interval(spread))
    if gain.low is None or gain.low <= 0:
        return None
    rate = CalibrationRate(
        before=calibration_error(sigmoid(odds), true, groups),
        after=calibration_error(sigmoid(held), true, groups),
        gain=gain,
    )
    return fit(odds, true, groups), rate


def calibration_error(said: NDArray[np.floating], true: Flags, groups: NDArray[Any]) -> Measure:
    """`calibration_gap` with its interval."""
    value = calibration_gap(said, true)
    drawn = [calibration_gap(said, true, weights) for weights in _draws(groups)]
    return _measured(value, interval_about(value, drawn))


def _draws(groups: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    return drawn_weights(groups.tolist(), DRAWS, 0)


def _measured(value: float, limits: tuple[float, float] | None) -> Measure:
    low, high = limits or (value, value)
    return Measure(value=round(value, 5), low=round(low, 5), high=round(high, 5))


def fit_beta(odds: Odds, true: Flags, groups: NDArray[Any]) -> Beta:
    """By maximum likelihood, towards the answers that Platt (1999) softens: the less, the more
    photo groups speak."""
    wanted = _softened(true, groups)
    rising, falling = np.logaddexp(0, -odds), np.logaddexp(0, odds)

    def loss(found: NDArray[np.float64]) -> float:
        a, b = np.exp(found[:2])
        moved = -a * rising + b * falling + found[2]
        return float(-(wanted * log_expit(moved) + (1 - wanted) * log_expit(-moved)).mean())

    a, b, c = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[(-3, 3), (-3, 3), (-10, 10)]).x
    return Beta(a=float(np.exp(a)), b=float(np.exp(b)), c=float(c))


def fit_isotonic(odds: Odds, true: Flags, groups: NDArray[Any]) -> Isotonic:
    """Isotonic regression (Zadrozny and Elkan 2002) of softened answers, as a curve that rises: its
    points are the middles of the steps."""
    wanted = _softened(true, groups)
    stepped = IsotonicRegression().fit_transform(odds, wanted)
    before: list[float] = []
    after: list[float] = []
    for level in np.unique(stepped):
        middle, value = float(odds[stepped == level].mean()), float(np.log(level / (1 - level)))
        if not before or (middle - before[-1] > LEAST_RISE and value - after[-1] > LEAST_RISE):
            before.append(middle)
            after.append(value)
    return Isotonic(before=tuple(before), after=tuple(after))


FITS: tuple[Callable[[Odds, Flags, NDArray[Any]], Curve], ...] = (fit_beta, fit_isotonic)


def _softened(true: Flags, groups: NDArray[Any]) -> NDArray[np.float64]:
    yes, no = (len(np.unique(groups[true == answer])) for answer in (True, False))
    return np.where(true, (yes + 1) / (yes + 2), 1 / (no + 2))


def _loss(odds: Odds, true: Flags) -> NDArray[np.float64]:
    """(N,) log loss."""
    return -log_expit(np.where(true, odds, -odds))


def calibration_gap(
    said: NDArray[np.floating],
    true: Flags,
    weights: NDArray[np.float64] | None = None,
    bins: int = BINS,
) -> float:
    """Mean gap between the probabilities `said` (N,) and how often they come `true` (N,), over
    equally wide bins weighted by their size: the expected calibration error (Naeini et al. 2015).
    weights: (N,) how often each image counts."""
    place = np.minimum((said * bins).astype(int), bins - 1)
    gaps = np.bincount(place, (said - true) * (1 if weights is None else weights), minlength=bins)
    return float(np.abs(gaps).sum() / (len(said) if weights is None else weights.sum()))


def expected_calibration_error(
    probabilities: NDArray[np.floating], targets: NDArray[np.int_], bins: int = BINS
) -> float:
    """`calibration_gap` of the most probable class of each image (N, C)."""
    return calibration_gap(probabilities.max(1), probabilities.argmax(1) == targets, bins=bins)
