"""Choose the default policy from validation scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from defectvision.bundle.line import Line
from defectvision.bundle.policy import HALF, Policy
from defectvision.inference.inspection import Inspection

ALLOWED = 0.01  # share of defective parts accepted, and of good parts rejected
WIDEST = (0.05, 0.95)


MaskAim = Literal["detection", "mean_dice"]
# From what a mask's threshold and the smallest region (px of the image) are chosen.
MASK_LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
SMALLEST_REGIONS = (0, 16, 32, 64, 128, 256, 512)


def choose_policy(logits: NDArray[np.floating], targets: NDArray[Any], line: Line) -> Policy:
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
        policy = review_band(probabilities.max(1), np.asarray(~(targets > 0).any(1)))
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


def choose_mask_policy(
    policy: Policy,
    answers: Iterable[tuple[Inspection, NDArray[np.bool_]]],
    classes: tuple[str, ...],
    aim: MaskAim = "detection",
) -> Policy:
    """`policy` with the mask threshold of every class, and the one smallest region, that the
    validation images suggest.

    answers: each image's inspection, and its true masks (K, H, W) of `classes`.
    aim: what is made largest for every class.
        detection  the mean Dice of the images that show it plus the share of the others that stay
                   empty: whether a defect is found counts as much as whether a good surface is
                   left alone, however rare the defect. A class that no image shows keeps 0.5;
        mean_dice  the competition's mean Dice: every image counts the same, an empty one 1 where
                   it stays empty, so that a rare class is drawn only where it is near certain.
    """
    shape = (len(classes), len(MASK_LEVELS), len(SMALLEST_REGIONS))
    dice, empty = np.zeros(shape), np.zeros(shape)
    shown, others = np.zeros(len(classes), int), np.zeros(len(classes), int)
    for inspection, truth in answers:
        for k, name in enumerate(classes):
            wanted = int(truth[k].sum())
            shown[k] += wanted > 0
            others[k] += wanted == 0
            for i, level in enumerate(MASK_LEVELS):
                tried = Policy(mask_thresholds={name: level})
                sizes, hits = _overlaps(inspection, name, tried, truth[k])
                for j, smallest in enumerate(SMALLEST_REGIONS):
                    kept = sizes >= smallest
                    if wanted:
                        drawn = sizes[kept].sum()
                        dice[k, i, j] += 2 * hits[kept].sum() / (drawn + wanted)
                    else:
                        empty[k, i, j] += not kept.any()
    if aim == "mean_dice":
        told = shown + others > 0
        worth = (dice + empty) / np.maximum(shown + others, 1)[:, None, None]
    else:
        told = shown > 0
        worth = (
            dice / np.maximum(shown, 1)[:, None, None]
            + empty / np.maximum(others, 1)[:, None, None]
        )
    size = int(worth[told].max(1).sum(0).argmax())  # the first of equals: the smallest
    # Of equals the threshold nearest to 0.5: a class that is never drawn is not drawn more easily.
    near = -np.abs(np.array(MASK_LEVELS) - HALF)
    levels = np.array([np.lexsort((near, w))[-1] for w in worth[:, :, size].round(9)])
    return policy.model_copy(
        update={
            "mask_thresholds": {
                name: MASK_LEVELS[levels[k]] if told[k] else HALF for k, name in enumerate(classes)
            },
            "smallest_region_px": SMALLEST_REGIONS[size] if told.any() else 0,
        }
    )


def _overlaps(
    inspection: Inspection, name: str, policy: Policy, truth: NDArray[np.bool_]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """px of each area that the policy draws of a class, and how many of them are true."""
    found = inspection.class_areas(name, policy)
    if found is None:
        return np.zeros(0, int), np.zeros(0, int)
    areas = found.areas
    height, width = areas.marks.shape
    window = truth[areas.top : areas.top + height, areas.left : areas.left + width]
    return areas.area_px, np.bincount(areas.marks[window], minlength=len(areas) + 1)[1:]


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
