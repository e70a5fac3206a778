"""What the charts of an evaluation show, as numbers: no picture is drawn here.

Bands and intervals are 95 %, drawn again by photo group. Rows are places in the tables of the
`Kept` that was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import label_names
from defectvision.bundle.policy import STRICTNESS, Policy, Verdict
from defectvision.data.resampling import clopper_pearson, interval, interval_about
from defectvision.evaluation.kept import Kept, label_sets
from defectvision.evaluation.outcomes import ACCEPT, REJECT, REVIEW, named, verdicts

LEVELS = 200  # thresholds of a curve at most
BINS = 50  # of the histogram of scores
CALIBRATION_BINS = 10
BAND_DRAWS = 200  # of those of `Kept.draws`, for what has a band at every place


@dataclass(frozen=True, eq=False)
class Confusion:
    """rows, columns: true and named classes, `|` between several, empty where there is none;
    counts: (R, C); images: row numbers of each cell."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[np.int64]
    images: dict[tuple[str, str], NDArray[np.int64]]


def confusion(kept: Kept, policy: Policy) -> Confusion:
    """Images by true class and by the one that the policy names. Raises EvaluationError as
    `verdicts`. On a multilabel line the rows are sets of labels that occur."""
    parts = [label_sets(names, kept.line) for names in (kept.truth, named(kept, policy))]
    if kept.line.label_mode == "multiclass":
        rows = columns = kept.line.class_names
    else:
        rows, columns = (tuple(sorted(texts, key=_by_size)) for _, texts in parts)
    places = [
        np.array([order.index(text) for text in texts], np.int64)[codes]
        for (codes, texts), order in zip(parts, (rows, columns), strict=True)
    ]
    return _crossed(places[0], places[1], rows, columns)


def _by_size(text: str) -> tuple[int, str]:
    """No label first, then single ones, then several."""
    return len(label_names(text)), text


def verdict_table(kept: Kept, policy: Policy) -> Confusion:
    """Images by what they are, `good` or `defective`, and by verdict; the escapes are
    `images["defective", "accept"]`, the overkills `images["good", "reject"]`."""
    said = verdicts(kept, policy).astype(np.int64)
    columns = tuple(verdict.value for verdict in STRICTNESS)
    return _crossed(kept.defective.astype(np.int64), said, ("good", "defective"), columns)


def _crossed(
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    rows: tuple[str, ...],
    columns: tuple[str, ...],
) -> Confusion:
    """row, column: (N,) places of the images in `rows` and `columns`."""
    cell = row * len(columns) + column
    order = np.argsort(cell, kind="stable")
    counts = np.bincount(cell, minlength=len(rows) * len(columns))
    parts = np.split(order, np.cumsum(counts)[:-1])
    names = [(a, b) for a in rows for b in columns]
    table = counts.reshape(len(rows), len(columns))
    return Confusion(rows, columns, table, dict(zip(names, parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Curve:
    """Points (x, y) with the band of y at that threshold, from the highest threshold to the lowest;
    area: under it with its interval, None where the images hold one kind of part alone."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    area: tuple[float, float, float] | None


def roc(kept: Kept, of: str | None = None) -> Curve:
    """x: share of the other parts that score at least the threshold; y: of the defective ones.
    of: a class, by its probability against all others; the defect score where None. The band of y
    is that at the same x."""
    counts = _ranked(kept, of)
    if counts is None:
        return _no_curve()
    own, drawn, levels = counts
    x, y = _shares(own)
    xs, ys = _shares(drawn)
    both = (drawn.sum(2) > 0).all(1)  # a draw of one kind of part alone has no curve
    xs, ys = xs[both], ys[both]
    bands = np.stack([np.interp(x, xs[i], ys[i]) for i in range(len(xs))])
    areas = (np.diff(xs, axis=1) * (ys[:, 1:] + ys[:, :-1]) / 2).sum(1)
    area = float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())
    return Curve(x, y, *_band(bands), levels, _with_interval(area, areas))


def precision_recall(kept: Kept, of: str | None = None) -> Curve:
    """x: recall, y: precision among these images; area: the average precision."""
    counts = _ranked(kept, of)
    if counts is None:
        return _no_curve()
    own, drawn, levels = counts
    recall, precision = _precision(own[None])
    recalls, precisions = _precision(drawn[drawn[:, 1].sum(1) > 0])
    bands = np.stack([np.interp(recall[0], recalls[i], precisions[i]) for i in range(len(recalls))])
    areas = (np.diff(recalls, axis=1, prepend=0) * precisions).sum(1)
    area = float((np.diff(recall[0], prepend=0) * precision[0]).sum())
    return Curve(recall[0], precision[0], *_band(bands), levels[1:], _with_interval(area, areas))


def _ranked(
    kept: Kept, of: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """How many other and positive parts each threshold adds: (2, T) of the images, (draws, 2, T) of
    each draw, and the thresholds from the highest on; None without both kinds."""
    key = ("ranked", of)
    if key not in kept.remembered:
        kept.remembered[key] = _rank(kept, of)
    return kept.remembered[key]


def _rank(
    kept: Kept, of: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    if of is None:
        scores, positive = kept.scores, kept.defective
    else:
        column = kept.line.class_names.index(of)
        scores, positive = kept.probabilities[:, column], kept.truth[:, column]
    if np.isnan(scores).any() or positive.all() or not positive.any():
        return None
    levels = np.unique(scores)
    if len(levels) > LEVELS:
        shares = np.linspace(0, 1, LEVELS // 2)
        parts = [np.quantile(scores[kind], shares) for kind in (positive, ~positive)]
        levels = np.unique(np.concatenate(parts))
        levels[0] = min(levels[0], scores.min())
    steps = len(levels)
    # Place 0 is the highest threshold.
    place = steps - np.searchsorted(levels, scores, "right")
    cell = positive * steps + place
    own = np.bincount(cell, minlength=2 * steps).reshape(2, steps).astype(np.float64)
    draws = kept.draws
    units = draws.counts.shape[1]
    by_unit = np.bincount(draws.member * 2 * steps + cell, minlength=units * 2 * steps)
    drawn = draws.counts[:BAND_DRAWS] @ by_unit.reshape(units, 2 * steps)
    thresholds = np.concatenate([[np.inf], levels[::-1]])
    return own, drawn.reshape(-1, 2, steps), thresholds


def _shares(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(..., T + 1) false and true positive rates from (..., 2, T) counts."""
    sums = np.cumsum(counts, axis=-1)
    sums = np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)
    rates = sums / np.maximum(sums[..., -1:], 1)
    return rates[..., 0, :], rates[..., 1, :]


def _precision(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sums = np.cumsum(counts, axis=-1)
    recall = sums[:, 1] / np.maximum(sums[:, 1, -1:], 1)
    everything = sums.sum(1)
    precision = np.where(everything > 0, sums[:, 1] / np.maximum(everything, 1), 1.0)
    return recall, precision


def _band(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.percentile(values, [2.5, 97.5], axis=0)
    return low, high


def _with_interval(value: float, drawn: NDArray[np.float64]) -> tuple[float, float, float]:
    low, high = interval(drawn) or (value, value)
    return value, low, high


def _no_curve() -> Curve:
    nothing = np.zeros(0)
    return Curve(nothing, nothing, nothing, nothing, nothing, None)


def class_table(kept: Kept, policy: Policy) -> pd.DataFrame:
    """A row a class: `name`, `title`, `images` that show it, `named` images, `recall` and
    `precision` with `_low` and `_high`, `f1`; NaN where there is none to tell from."""
    truth, label = kept.truth, named(kept, policy)
    hits = truth & label
    drawn = [kept.draws.sums(part) for part in (hits, truth, label)]
    rows = []
    for c, one in enumerate(kept.line.classes):
        hit, shown, said = (int(part[:, c].sum()) for part in (hits, truth, label))
        row: dict[str, Any] = {"name": one.name, "title": one.title, "images": shown, "named": said}
        with np.errstate(invalid="ignore", divide="ignore"):
            for name, of, spread in (
                ("recall", shown, drawn[0][:, c] / drawn[1][:, c]),
                ("precision", said, drawn[0][:, c] / drawn[2][:, c]),
            ):
                value = hit / of if of else np.nan
                low, high = (interval(spread) or (np.nan, np.nan)) if of else (np.nan, np.nan)
                if value in (0.0, 1.0):
                    shown_in = (truth if name == "recall" else label)[:, c]
                    groups = len(np.unique(kept.groups[shown_in]))
                    low, high = clopper_pearson(round(value * groups), groups)
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
        row["f1"] = 2 * hit / (shown + said) if shown else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def histogram(kept: Kept, bins: int = BINS) -> pd.DataFrame:
    """`low` and `high` of each bin of the defect score, and how many `good` and `defective` images
    lie in it; images to which the gate objects are left out. Empty without a score."""
    shown = kept.judged & ~np.isnan(kept.scores)
    if not shown.any():
        return pd.DataFrame({name: [] for name in ("low", "high", "good", "defective")})
    edges = np.linspace(0, 1, bins + 1)
    place = np.minimum((kept.scores[shown] * bins).astype(int), bins - 1)
    counts = np.bincount(place + bins * kept.defective[shown], minlength=2 * bins)
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "good": counts[:bins], "defective": counts[bins:]}
    )


@dataclass(frozen=True, eq=False)
class Reliability:
    """bins: a row a filled bin of confidence, with `low`, `high`, `images`, mean `confidence`, the
    `share` that was right and its interval; error: expected calibration error with its interval,
    None where there is nothing to tell from."""

    bins: pd.DataFrame
    error: tuple[float, float, float] | None


def reliability(kept: Kept, of: str | None = None) -> Reliability:
    """How often what is said with some confidence is so. of: a class, by its probability; the
    defect score where None, and where the line gives none the most probable class."""
    if of is not None:
        place = kept.line.class_names.index(of)
        said, right = kept.probabilities[:, place], kept.truth[:, place]
    elif kept.line.can_accept:
        said, right = kept.scores, kept.defective
    else:
        said = kept.probabilities.max(1)
        right = kept.truth[np.arange(len(kept)), kept.probabilities.argmax(1)]
    if not len(kept):
        return Reliability(pd.DataFrame(), None)
    place_of = np.minimum((said * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    draws = kept.draws
    cell, units = draws.member * CALIBRATION_BINS + place_of, draws.counts.shape[1]
    by_unit = np.stack(
        [
            np.bincount(cell, values, units * CALIBRATION_BINS).reshape(units, -1)
            for values in (np.ones(len(kept)), said, right)
        ],
        axis=1,
    )
    own = by_unit.sum(0)
    drawn = (draws.counts @ by_unit.reshape(units, -1)).reshape(-1, 3, CALIBRATION_BINS)
    gap = float(_gap(own[None])[0])
    # Chance opens gaps further, in draws more than in the images: see `interval_about`.
    error = (gap, *(interval_about(gap, _gap(drawn).tolist()) or (gap, gap)))
    found = []
    for b in np.flatnonzero(own[0]):
        with np.errstate(invalid="ignore", divide="ignore"):
            low, high = interval(drawn[:, 2, b] / drawn[:, 0, b]) or (np.nan, np.nan)
        share = own[2, b] / own[0, b]
        if share in (0.0, 1.0):
            groups = len(np.unique(kept.groups[place_of == b]))
            low, high = clopper_pearson(round(share * groups), groups)
        found.append(
            {
                "low": b / CALIBRATION_BINS,
                "high": (b + 1) / CALIBRATION_BINS,
                "images": int(own[0, b]),
                "confidence": own[1, b] / own[0, b],
                "share": share,
                "share_low": low,
                "share_high": high,
            }
        )
    return Reliability(pd.DataFrame(found), error)


def _gap(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws,) expected calibration error from counts, sums of confidence and of what was right."""
    return np.abs(sums[:, 1] - sums[:, 2]).sum(1) / np.maximum(sums[:, 0].sum(1), 1)


def worst(kept: Kept, policy: Policy, most: int = 200) -> NDArray[np.int64]:
    """Row numbers of the mistakes, the worst first: escapes from the lowest score on, overkills
    from the highest on, in turn; then wrong classes by how sure the model was."""
    said, bad = verdicts(kept, policy), kept.defective
    score = np.nan_to_num(kept.scores, nan=1.0)
    wrongness = np.where(bad, 1 - score, score)
    verdict_wrong = (bad & (said == ACCEPT)) | (~bad & (said == REJECT))
    label = named(kept, policy)
    class_wrong = ~verdict_wrong & bad & (said != REVIEW) & (label != kept.truth).any(1)
    missed = np.where(kept.truth, 1 - kept.probabilities, 0).max(1)
    key = np.select([verdict_wrong, class_wrong], [1 + wrongness, missed], -1.0)
    order = np.argsort(-key, kind="stable")
    return order[key[order] >= 0][:most].astype(np.int64)


def by_group(kept: Kept, policy: Policy) -> pd.DataFrame:
    """A row a photo group: `group`, `images`, `good`, `defective`, `escapes`, `overkills`,
    `reviews` and `first`, the row number of its first image; those with most errors first."""
    said, bad = verdicts(kept, policy), kept.defective
    columns = {
        "images": np.ones(len(kept), bool),
        "good": ~bad,
        "defective": bad,
        "escapes": bad & (said == ACCEPT),
        "overkills": ~bad & (said == REJECT),
        "reviews": said == REVIEW,
    }
    counts = {name: np.bincount(kept.groups, value) for name, value in columns.items()}
    table = pd.DataFrame(counts).astype(np.int64)
    first = np.zeros(len(table), np.int64)
    first[kept.groups[::-1]] = np.arange(len(kept))[::-1]
    table["group"], table["first"] = kept.images["group"].to_numpy()[first], first
    errors = table["escapes"] + table["overkills"]
    order = np.lexsort((table["first"], -table["reviews"], -errors))
    return table.iloc[order].reset_index(drop=True)


def class_title(kept: Kept, text: str) -> str:
    """Labels of a cell as people read them."""
    return kept.line.titles(label_names(text))


def verdict_of(code: int) -> Verdict:
    """The verdict that a number of `outcomes.verdicts` stands for."""
    return STRICTNESS[code]
