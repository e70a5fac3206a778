"""How masks do, by class and by the size of the defect: from which length on a defect is found.

Probability of detection as non-destructive testing states it (MIL-HDBK-1823A, hit/miss): a logistic
curve of the logarithm of the length, the length a90 that is found 9 times in 10, and a90/95, of
which we are 95 % sure that it is. Intervals are drawn again by photo group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Measure
from defectvision.data.resampling import Draws, clopper_pearson
from defectvision.evaluation.kept import Kept
from defectvision.evaluation.outcomes import ACCEPT, verdicts
from defectvision.evaluation.segmentation import PixelCounts, measure_masks
from defectvision.words import counted

FEWEST = 30  # defects that a curve is fitted to
FEWEST_MISSES = 3  # and hits: a curve needs some of both
DRAWS = 200
FOUND = 0.9
SURE = 95  # percentile
BINS = 6
KINDS = 256  # of lengths, which draws tell apart
STEPS = 60  # places of the curve
RIDGE = 1e-3  # of the slope, so that a clean cut gives a steep curve and not an endless one
By = Literal["mask", "verdict"]


@dataclass(frozen=True, eq=False)
class Detection:
    """by: whether a defect counts as found where the drawn mask touches it, or where its part is
    not accepted (then each part counts once, with its longest defect).

    bins: a row a range of length, with `low`, `high` (px), `defects`, `found`, `share` and its
    exact interval. lengths, curve, low, high: the fitted probability and its band. a90, a90_95: px;
    None where they cannot be said, and `words` says why. images: row number of each defect's image,
    length_px and found beside it.
    """

    by: By
    defects: int
    groups: int
    bins: pd.DataFrame
    lengths: NDArray[np.float64]
    curve: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    a90: float | None
    a90_95: float | None
    words: str
    images: NDArray[np.int64]
    length_px: NDArray[np.float64]
    found: NDArray[np.bool_]


def detection(
    kept: Kept, policy: Policy, by: By = "mask", class_name: str | None = None, seed: int = 0
) -> Detection:
    """The curve of one class, or of all. Masks are those of `About.policy`; verdicts follow
    `policy`. Raises EvaluationError as `verdicts`."""
    table = kept.defects
    if class_name is not None:
        table = table[table["class_name"] == class_name]
    if by == "mask":
        table = table[table["probability"].notna()]
        found = table["hit"].to_numpy(bool)
    else:
        table = table.sort_values("length_px").drop_duplicates("image", keep="last")
        table = table.sort_values("image")
        found = (verdicts(kept, policy) != ACCEPT)[table["image"].to_numpy(np.int64)]
    images = table["image"].to_numpy(np.int64)
    length = table["length_px"].to_numpy(np.float64)
    groups = np.unique(kept.groups[images], return_inverse=True)[1]
    count = int(groups.max(initial=-1)) + 1
    nothing = np.zeros(0)
    parts = {
        "by": by, "defects": len(length), "groups": count, "bins": _bins(length, found),
        "images": images, "length_px": length, "found": found,
    }  # fmt: skip
    misses, hits = int((~found).sum()), int(found.sum())
    if len(length) < FEWEST or min(misses, hits) < FEWEST_MISSES or len(np.unique(length)) < 3:
        words = _cannot(len(length), misses, hits)
        return Detection(**parts, lengths=nothing, curve=nothing, low=nothing, high=nothing,
                         a90=None, a90_95=None, words=words)  # fmt: skip
    x = np.log(length)
    lengths = np.geomspace(length.min(), length.max(), STEPS)
    own = _fits(x, found[None].astype(float), np.ones((1, len(x))))[0]
    fits = _drawn_fits(x, found, groups, seed)
    curves = expit(fits[:, :1] + fits[:, 1:] * np.log(lengths))
    low, high = np.percentile(curves, [2.5, 97.5], axis=0)
    a90, all_a90 = _reached(own), np.array([_reached(fit) for fit in fits])
    sure = float(np.percentile(all_a90, SURE, method="higher"))  # some may be infinite
    longest = float(length.max())
    a90_95 = sure if sure <= longest else None
    shown = a90 if a90 <= longest else None
    return Detection(
        **parts,
        lengths=lengths,
        curve=expit(own[0] + own[1] * np.log(lengths)),
        low=low,
        high=high,
        a90=shown,
        a90_95=a90_95,
        words=_said(shown, a90_95, len(length), longest),
    )


def _drawn_fits(
    x: NDArray[np.float64], found: NDArray[np.bool_], groups: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """(DRAWS, 2) the fits of draws of groups. Of many lengths those that are nearly the same count
    as one, their mean."""
    kinds, place = np.unique(x, return_inverse=True)
    if len(kinds) > KINDS:
        edges = np.linspace(x.min(), x.max(), KINDS + 1)[1:-1]
        place = np.unique(np.searchsorted(edges, x), return_inverse=True)[1]
        kinds = np.bincount(place, x) / np.bincount(place)
    draws = Draws.of(groups, DRAWS, seed)
    cell, units = draws.member * len(kinds) + place, draws.counts.shape[1]

    def drawn(values: NDArray[np.float64]) -> NDArray[np.float64]:
        by_unit = np.bincount(cell, values, units * len(kinds)).reshape(units, len(kinds))
        return draws.counts @ by_unit

    return _fits(kinds, drawn(found.astype(float)), drawn(np.ones(len(x))))


def _fits(
    x: NDArray[np.float64], found: NDArray[np.float64], defects: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(D, 2) intercept and slope of the logistic curve of `x` (n,), by Newton's method, where
    `found` (D, n) of `defects` (D, n) were found."""
    middle = float(x.mean())
    from_middle = x - middle
    values = np.zeros((len(found), 2))
    for _ in range(60):
        chance = expit(values[:, :1] + values[:, 1:] * from_middle)
        miss = found - defects * chance
        slope = np.stack([miss.sum(1), miss @ from_middle], axis=1) - RIDGE * values
        weight = defects * chance * (1 - chance)
        a, b = weight.sum(1) + RIDGE, weight @ from_middle
        c = weight @ from_middle**2 + RIDGE
        step = np.stack([c * slope[:, 0] - b * slope[:, 1], a * slope[:, 1] - b * slope[:, 0]], 1)
        step /= (a * c - b * b)[:, None]
        step *= np.minimum(1.0, 5 / np.maximum(1e-12, np.abs(step).max(1)))[:, None]
        values += step
        if np.abs(step).max() < 1e-8:
            break
    return np.stack([values[:, 0] - values[:, 1] * middle, values[:, 1]], axis=1)


def _reached(fit: NDArray[np.float64]) -> float:
    """The length (px) that is found FOUND of the time; infinite where longer defects are not found
    more often."""
    if fit[1] <= 0:
        return np.inf
    wanted = (np.log(FOUND / (1 - FOUND)) - fit[0]) / fit[1]
    return float(np.exp(min(wanted, 700.0)))


def _bins(length: NDArray[np.float64], found: NDArray[np.bool_]) -> pd.DataFrame:
    """Ranges of length with about the same number of defects each."""
    rows = []
    order = np.argsort(length, kind="stable")
    for part in np.array_split(order, min(BINS, max(1, len(order) // 5))):
        if not len(part):
            continue
        hits = int(found[part].sum())
        low, high = clopper_pearson(hits, len(part))
        rows.append(
            {
                "low": length[part].min(),
                "high": length[part].max(),
                "defects": len(part),
                "found": hits,
                "share": hits / len(part),
                "share_low": low,
                "share_high": high,
            }
        )
    columns = ["low", "high", "defects", "found", "share", "share_low", "share_high"]
    return pd.DataFrame(rows, columns=columns)


def _cannot(defects: int, misses: int, hits: int) -> str:
    of = counted(defects, "defect")
    said = f"From which length on defects are found cannot be said from {of}"
    if defects < FEWEST:
        return f"{said}; {FEWEST - defects} more are needed."
    if misses < FEWEST_MISSES:
        return f"{said}, of which {misses or 'none'} {'was' if misses == 1 else 'were'} missed."
    if hits < FEWEST_MISSES:
        return f"{said}, of which {hits or 'none'} {'was' if hits == 1 else 'were'} found."
    return f"{said} of so few lengths."


def _said(a90: float | None, a90_95: float | None, defects: int, longest: float) -> str:
    of = f"from {counted(defects, 'defect')}"
    if a90 is None:
        return f"No length up to {longest:.3g} px, the longest here, is found 9 times in 10 ({of})."
    said = f"Defects from {a90:.3g} px on are found 9 times in 10 ({of})"
    if a90_95 is None:
        return f"{said}; 95 % sure of that we are of no length up to {longest:.3g} px."
    return f"{said}; 95 % sure of that we are from {a90_95:.3g} px on."


def mask_figures(kept: Kept) -> dict[str, Measure | None]:
    """`segmentation.measure_masks` of the images whose masks are known, as `About.policy` draws
    them; empty where the bundle does not segment."""
    names, table = kept.about.mask_classes, kept.pixels
    if not names or not len(table):
        return {}
    images = np.unique(table["image"].to_numpy(np.int64))
    place = np.searchsorted(images, table["image"].to_numpy(np.int64))
    codes, classes = pd.factorize(table["class_name"])
    column = np.array([names.index(str(name)) for name in classes], np.int64)[codes]

    def counts(name: str) -> NDArray[np.int64]:
        wide = np.zeros((len(images), len(names)), np.int64)
        wide[place, column] = table[name].to_numpy(np.int64)
        return wide

    tp, fp, fn, tn = map(counts, ("tp", "fp", "fn", "tn"))
    pixels = PixelCounts(tp, fp, fn, tn, np.full(len(images), np.nan))
    figures = measure_masks(pixels, names, kept.images["group"].iloc[images].tolist())
    return {name: value for name, value in figures.items() if name != "pixel_accuracy"}
