"""How good masks are, from counted pixels, with intervals resampled by photo group.

Every figure follows from one table of counts: per image and class the true positive, false
positive, false negative and true negative pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.schema import Measure
from defectvision.data.resampling import Draws, interval
from defectvision.evaluation.metrics import RESAMPLES, exact_if_alike

DIGITS = 5  # of a figure


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """Pixels (N images, K classes) int64 each; `right`: (N,) share of the image's pixels whose
    set of classes is answered exactly."""

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    tn: NDArray[np.int64]
    right: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        predicted: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        counted: NDArray[np.bool_] | None = None,
    ) -> PixelCounts:
        """The counts of one image: masks (K, H, W) bool each; counted (H, W) bool: the pixels
        that count, all if None. Raises ValueError where the masks are of different sizes."""
        predicted, truth = np.asarray(predicted, bool), np.asarray(truth, bool)
        if predicted.shape != truth.shape or predicted.ndim != 3:
            raise ValueError(
                f"predicted masks {predicted.shape} and true masks {truth.shape}: must both be "
                "(classes, height, width) of the same image"
            )
        predicted, truth = predicted.reshape(len(truth), -1), truth.reshape(len(truth), -1)
        if counted is not None:
            kept = np.asarray(counted, bool).ravel()
            predicted, truth = predicted[:, kept], truth[:, kept]
        pixels = truth.shape[1]
        tp = np.count_nonzero(predicted & truth, axis=1)
        fp = np.count_nonzero(predicted, axis=1) - tp
        fn = np.count_nonzero(truth, axis=1) - tp
        same = np.count_nonzero((predicted == truth).all(0))
        right = np.array([same / pixels if pixels else np.nan])
        return cls(tp[None], fp[None], fn[None], (pixels - tp - fp - fn)[None], right)

    @classmethod
    def join(cls, parts: Iterable[PixelCounts]) -> PixelCounts:
        """One table of several images' counts, in order."""
        parts = list(parts)
        names = ("tp", "fp", "fn", "tn", "right")
        return cls(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))

    def __len__(self) -> int:
        return len(self.tp)


def measure_masks(
    counts: PixelCounts, classes: Sequence[str], groups: Sequence[str], seed: int = 0
) -> dict[str, Measure | None]:
    """All figures of masks, each with its 95 % interval.

    classes: names of the K classes; groups: photo group of each of the N images.

    iou/<class>        intersection over union of the pixels pooled over the images that hold the
                       class (so large defects weigh more); mean_iou: their mean over classes.
    dice/<class>       Dice of each image that holds the class, averaged over those images (so
                       every image weighs the same).
    detection/<class>  share of the images with the class whose true mask is overlapped by a
                       predicted one of that class.
    false_alarm/<class>  share of the images without the class in which it is predicted.
    mean_dice          the competition's: the mean over all pairs of image and class, a pair
                       without the class counting 1 where it is answered empty, else 0.
    mean_dice_empty    what an answer without any mask would get there.
    pixel_accuracy     share of pixels whose set of classes is answered exactly.

    A figure that the images cannot give (a class that none of them shows; the last three where none
    shows any, as finding nothing would be perfect then) is None. One that
    is the same for every draw has the exact interval of a share of the photo groups that it rests
    on; `mean_iou`, of the class that has the fewest.
    """
    if counts.tp.shape != (len(groups), len(classes)):
        raise ValueError(
            f"counts of {counts.tp.shape[0]} images and {counts.tp.shape[1]} classes, but "
            f"{len(groups)} photo groups and {len(classes)} class names"
        )
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    draws = Draws.of(numbers, RESAMPLES, seed)
    ratios = _ratios(counts, classes)
    columns = np.stack([part for ratio in ratios.values() for part in ratio], axis=1)
    sums = np.concatenate([columns.sum(0)[None], draws.sums(columns)])
    with np.errstate(invalid="ignore", divide="ignore"):
        values = dict(zip(ratios, (sums[:, 0::2] / sums[:, 1::2]).T, strict=True))
    ious = np.stack([values[f"iou/{name}"] for name in classes])
    known = ~np.isnan(ious)
    with np.errstate(invalid="ignore"):
        mean_iou = np.where(known, ious, 0).sum(0) / known.sum(0)
    found = {"mean_iou": mean_iou, **values}
    parts = {name: len(np.unique(numbers[below > 0])) for name, (_, below) in ratios.items()}
    shown = [parts[f"iou/{name}"] for name in classes if parts[f"iou/{name}"]]
    parts["mean_iou"] = min(shown, default=0)
    return {name: exact_if_alike(_measured(drawn), parts[name]) for name, drawn in found.items()}


def _measured(values: NDArray[np.float64]) -> Measure | None:
    """Of a figure of the images themselves, which stands first, and of each draw."""
    if np.isnan(values[0]):
        return None
    low, high = interval(values[1:]) or (values[0], values[0])
    value, low, high = (round(float(number), DIGITS) for number in (values[0], low, high))
    return Measure(value=value, low=low, high=high)


def _ratios(
    counts: PixelCounts, classes: Sequence[str]
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Each figure as a ratio of two sums over images: what each of them (N,) adds to either."""
    tp, fp, fn = (x.astype(float) for x in (counts.tp, counts.fp, counts.fn))
    shows = tp + fn > 0
    answered = tp + fp > 0
    # Without a true and a predicted pixel there is no ratio; the competition sets it to 1.
    dice = np.where(shows | answered, 2 * tp / np.maximum(2 * tp + fp + fn, 1), 1.0)
    every, right = np.full(len(counts), float(shows.any())), counts.right
    found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for k, name in enumerate(classes):
        union = (tp + fp + fn)[:, k] * shows[:, k]
        found[f"iou/{name}"] = tp[:, k] * shows[:, k], union
    for k, name in enumerate(classes):
        found[f"dice/{name}"] = dice[:, k] * shows[:, k], shows[:, k]
    for k, name in enumerate(classes):
        found[f"detection/{name}"] = (tp[:, k] > 0) & shows[:, k], shows[:, k]
    for k, name in enumerate(classes):
        found[f"false_alarm/{name}"] = answered[:, k] & ~shows[:, k], ~shows[:, k]
    found["mean_dice"] = dice.mean(1) * every, every
    found["mean_dice_empty"] = (~shows).mean(1) * every, every
    found["pixel_accuracy"] = np.nan_to_num(right) * every, ~np.isnan(right) * every
    return found
