"""Choose the default policy from validation scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from defectvision.inference.bundle import Line
from defectvision.inference.policy import HALF, Policy

ALLOWED = 0.01  # share of defective parts accepted, and of good parts rejected
WIDEST = (0.05, 0.95)


# Mask probabilities at which pixels are counted, and from which a mask threshold is chosen.
MASK_LEVELS = tuple(round(0.05 * i, 2) for i in range(2, 19))


def choose_policy(logits: NDArray[np.floating], targets: NDArray, line: Line) -> Policy:
    """The policy that the validation images suggest.

    logits: (N, C), calibrated; targets: (N,) class numbers, or (N, C) of 0 and 1 on a multilabel
    line, whose classes get the threshold of the best F1 each.
    """
    if line.label_mode == "multilabel":
        probabilities = expit(logits)
        thresholds = {
            name: _best_f1(probabilities[:, i], targets[:, i] > 0)
            for i, name in enumerate(line.class_names)
        }
        policy = review_band(probabilities.max(1), ~(targets > 0).any(1))
        return policy.model_copy(update={"class_thresholds": thresholds})
    good = [i for i, c in enumerate(line.classes) if c.kind == "ok"]
    if not good:
        return Policy()
    return review_band(1 - softmax(logits, axis=1)[:, good].sum(1), np.isin(targets, good))


def review_band(scores: NDArray[np.floating], good: NDArray[np.bool_]) -> Policy:
    """The narrowest review band around 0.5 that keeps escapes and overkills within ALLOWED.

    scores: (N,) calibrated defect scores of validation parts; good: (N,) bool. The band does not
    grow beyond WIDEST: a model that would need more is not helped by reviewing everything.
    """
    defective, fine = np.sort(scores[~good]), np.sort(scores[good])
    accept_below = reject_above = 0.5
    if len(defective):
        accept_below = min(0.5, float(defective[int(ALLOWED * len(defective))]))
    if len(fine):
        reject_above = max(0.5, float(fine[len(fine) - 1 - int(ALLOWED * len(fine))]) + 1e-3)
    return Policy(
        accept_below=math.floor(1000 * max(WIDEST[0], accept_below)) / 1000,
        reject_above=math.ceil(1000 * min(WIDEST[1], reject_above)) / 1000,
    )


def choose_mask_thresholds(curves: dict[str, NDArray[np.int_]]) -> dict[str, float]:
    """The level of MASK_LEVELS with the best IoU for each class.

    curves: per class (levels, 3) px found, missed and wrongly found at each level, summed over the
    validation images. A class that they do not show keeps 0.5.
    """
    chosen = {}
    for name, curve in curves.items():
        found, missed, wrong = curve.T
        iou = found / np.maximum(found + missed + wrong, 1)
        chosen[name] = MASK_LEVELS[int(iou.argmax())] if iou.any() else HALF
    return chosen


def _best_f1(scores: NDArray[np.floating], present: NDArray[np.bool_]) -> float:
    """The threshold of the best F1, halfway to the next lower score; 0.5 without any positive."""
    if not present.any():
        return HALF
    order = np.argsort(-scores)
    hits = np.cumsum(present[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + present.sum())
    best = int(f1.argmax())
    ranked = np.append(scores[order], 0.0)
    return round(float(np.clip((ranked[best] + ranked[best + 1]) / 2, *WIDEST)), 3)
