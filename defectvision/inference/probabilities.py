"""From a model's logits to the probabilities that everything else is told: temperature first, then
the curves of a bundle's calibration, where it has some. Nowhere else is either applied."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import DEFECT_SCORE, Beta, Bundle, Calibration, Curve

FARTHEST = 30.0  # log-odds that count
HALVINGS = 80  # by which a curve is followed back
TINY = 1e-300
ROUNDING = 1e-14  # of a threshold: so near, and where log-odds end, the more cautious holds


def probabilities_of(logits: NDArray[np.float32], bundle: Bundle, line: Line) -> NDArray[Any]:
    """(C,) probabilities in the order of the line's classes, of logits (C,)."""
    values = tempered(logits, bundle.temperature, line)
    if bundle.calibration is None:
        return values
    return calibrated(values.astype(np.float64), bundle.calibration, line)


def tempered(logits: NDArray[np.float32], temperature: float, line: Line) -> NDArray[Any]:
    """(C,) probabilities as the temperature alone leaves them."""
    scaled = logits / temperature
    if line.label_mode == "multilabel":
        return sigmoid(scaled)
    values = np.exp(scaled - scaled.max())
    return values / values.sum()


def calibrated(
    probabilities: NDArray[np.float64], calibration: Calibration, line: Line
) -> NDArray[np.float64]:
    """Probabilities (..., C), as the temperature leaves them, once the curves are applied.

    On a multiclass line the defect score follows its curve, and good classes and defects keep their
    shares among themselves; on a multilabel line each class follows its own.
    """
    values = probabilities.copy()
    if line.label_mode == "multilabel":
        for name, curve in calibration.curves.items():
            place = line.class_names.index(name)
            odds = log_odds(values[..., place], 1 - values[..., place])
            values[..., place] = sigmoid(apply(curve, odds))
        return values
    curve = calibration.curves[DEFECT_SCORE]
    good = np.array([c.kind == "ok" for c in line.classes])
    defective, fine = values[..., ~good].sum(-1), values[..., good].sum(-1)
    odds = apply(curve, log_odds(defective, fine))
    values[..., ~good] *= (sigmoid(odds) / np.maximum(defective, TINY))[..., None]
    values[..., good] *= (sigmoid(-odds) / np.maximum(fine, TINY))[..., None]
    return values


def log_odds(of: NDArray[np.float64], against: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of two probabilities, within +-FARTHEST."""
    found = np.log(np.maximum(of, TINY)) - np.log(np.maximum(against, TINY))
    return np.clip(found, -FARTHEST, FARTHEST)


def apply(curve: Curve, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds after a curve, of log-odds before it."""
    if isinstance(curve, Beta):
        # log s and -log(1 - s) of s = sigmoid(odds), by which the source writes it
        return curve.a * -np.logaddexp(0, -odds) + curve.b * np.logaddexp(0, odds) + curve.c
    before, after = np.array(curve.before), np.array(curve.after)
    low, high = np.minimum(odds - before[0], 0), np.maximum(odds - before[-1], 0)
    return np.interp(odds, before, after) + low + high


def moved_policy(
    policy: Policy, calibration: Calibration, line: Line, back: bool = False
) -> Policy:
    """The policy whose verdicts and labels on calibrated probabilities are those of `policy` on
    what the temperature leaves; `back`: the other way round.

    On a multilabel line the defect score is the largest of probabilities that follow curves of
    their own: thresholds of classes move with their class, those of the score stay where they are.
    """

    def threshold(value: float, curve: Curve) -> float:
        if value in (0.0, 1.0):
            return value
        odds = np.array(math.log(value) - math.log1p(-value))
        exact = float(sigmoid(_before(curve, odds) if back else apply(curve, odds)))
        return exact * (1 - ROUNDING)

    if line.label_mode == "multilabel":
        moved = {
            name: threshold(policy.class_threshold(name), curve)
            for name, curve in calibration.curves.items()
        }
        return policy.model_copy(update={"class_thresholds": policy.class_thresholds | moved})
    curve = calibration.curves[DEFECT_SCORE]
    return policy.model_copy(
        update={
            "accept_below": threshold(policy.accept_below, curve),
            "reject_above": threshold(policy.reject_above, curve),
        }
    )


def _before(curve: Curve, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log-odds that the curve, which rises, takes to `odds`."""
    low, high = -2 * FARTHEST, 2 * FARTHEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if apply(curve, np.array(middle)) < odds:
            low = middle
        else:
            high = middle
    return np.array(high)


def sigmoid(log_odds: NDArray[Any]) -> NDArray[Any]:
    """In the precision of `log_odds`, which count within +-30."""
    one = np.asarray(log_odds).dtype.type(1)
    return one / (one + np.exp(-np.clip(log_odds, -30, 30)))
