"""Whether one bundle is better than another on the same images.

Differences are paired: each image is its own control. What is drawn again, and swapped under the
hypothesis that the two are the same, is the photo group (a permutation test, Good 2005; its p-value
counts the observed order too, Phipson & Smyth 2010, https://doi.org/10.2202/1544-6115.1585).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.data.resampling import Draws, interval
from defectvision.evaluation.kept import PROBABILITY, RESAMPLES, EvaluationError, Kept
from defectvision.evaluation.outcomes import ACCEPT, REJECT, REVIEW, named, verdicts

PERMUTATIONS = 2000
LEVEL = 0.05


@dataclass(frozen=True)
class Difference:
    """A metric of both, and the second less the first with its 95 % interval; p: how often groups
    that were swapped at random differ as much; None of all where the images cannot give it.
    better: whether more is better; found: whether the difference is more than chance, of all
    figures together (Holm 1979, https://www.jstor.org/stable/4615733)."""

    metric: str
    title: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    better: bool
    found: bool = False


@dataclass(frozen=True, eq=False)
class Comparison:
    """first, second: the two evaluations of the same images, row by row; policies: theirs.

    rows: (N, 2) their row numbers in the evaluations that were given. alone: images that only the
    first, or only the second, has. differ: places in `rows` whose verdict or label differs, those
    where one is right and the other is not first.
    """

    first: Kept
    second: Kept
    policies: tuple[Policy, Policy]
    rows: NDArray[np.int64]
    alone: tuple[int, int]
    differences: tuple[Difference, ...]
    differ: NDArray[np.int64]
    words: str


def compare(
    first: Kept, second: Kept, policies: tuple[Policy, Policy], seed: int = 0
) -> Comparison:
    """Compare two evaluations on the images that both have, matched by their files' SHA-256, each
    under its policy. Raises EvaluationError where they are of different lines, where they share no
    image, and where they disagree about what an image shows."""
    first, second = _alike(first, second)
    rows, alone = _matched(first, second)
    one, two = first.take(rows[:, 0]), second.take(rows[:, 1])
    if (one.truth != two.truth).any():
        place = int((one.truth != two.truth).any(1).argmax())
        raise EvaluationError(
            f"{one.images['path'].iloc[place]}: is labelled differently in the two evaluations. "
            "Evaluate both on the same labels"
        )
    parts = [_parts(kept, policy) for kept, policy in zip((one, two), policies, strict=True)]
    draws = Draws.of(one.groups, RESAMPLES, seed)
    rng = np.random.default_rng(seed)
    heads = rng.integers(0, 2, (PERMUTATIONS, draws.counts.shape[1]), np.int8)
    signs = (2 * heads - 1).astype(np.float32)
    differences = _told_apart(
        _difference(name, title, better, parts[0][name], parts[1][name], draws, signs)
        for name, (title, better) in METRICS.items()
        if name in parts[0]
    )
    differ = _differing(one, two, policies)
    words = _in_words(one, two, differences, len(rows))
    return Comparison(one, two, policies, rows, alone, differences, differ, words)


METRICS = {
    "accuracy": ("Right label", True),
    "escapes": ("Escapes", False),
    "overkills": ("Overkill", False),
    "reviews": ("To review", False),
    "brier": ("Brier score of the defect score", False),
    "auc": ("Area under the ROC curve", True),
}
Parts = tuple[NDArray[np.float64], NDArray[np.float64]]  # of each image: value, weight


def _parts(kept: Kept, policy: Policy) -> dict[str, Parts]:
    """Of each metric, which is a weighted mean, values and weights."""
    said, bad = verdicts(kept, policy), kept.defective
    right = (named(kept, policy) == kept.truth).all(1)
    every = np.ones(len(kept))
    found: dict[str, Parts] = {
        "accuracy": (right.astype(float), every),
        "reviews": ((said == REVIEW).astype(float), every),
    }
    if kept.line.can_accept:
        found["escapes"] = ((bad & (said == ACCEPT)).astype(float), bad.astype(float))
        found["overkills"] = ((~bad & (said == REJECT)).astype(float), (~bad).astype(float))
        found["brier"] = ((kept.scores - bad) ** 2, every)
        found["auc"] = (_placed(kept.scores, bad), bad.astype(float))
    return found


def _placed(scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each defective part the share of the good ones that score lower (half of equal ones), for
    each good part that of the defective ones that score higher; the mean of either kind is the area
    under the curve."""
    good, worse = np.sort(scores[~bad]), np.sort(scores[bad])
    lower = np.searchsorted(good, scores, "left") + np.searchsorted(good, scores, "right")
    higher = np.searchsorted(worse, scores, "left") + np.searchsorted(worse, scores, "right")
    return np.where(bad, lower / 2 / max(1, len(good)), 1 - higher / 2 / max(1, len(worse)))


def _difference(
    name: str,
    title: str,
    better: bool,
    one: Parts,
    two: Parts,
    draws: Draws,
    signs: NDArray[np.float32],
) -> Difference:
    total = float(one[1].sum())  # of both, as they are of the same images
    if not total or (name == "auc" and total == len(one[1])):
        return Difference(name, title, None, None, None, None, None, None, better)
    first, second = (float((part[0] * part[1]).sum()) / total for part in (one, two))
    gap = second - first
    if name == "auc":
        low, high, p = _of_areas(two[0] - one[0], one[1] > 0, gap, draws)
    else:
        low, high, p = _of_ratios((two[0] - one[0]) * one[1], one[1], draws, signs)
    return Difference(name, title, first, second, gap, low, high, p, better)


def _told_apart(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """The differences with those marked that are found."""
    every = list(differences)
    ranked = sorted((one.p, i) for i, one in enumerate(every) if one.p is not None)
    for done, (p, place) in enumerate(ranked):
        if p >= LEVEL / (len(ranked) - done):
            break
        every[place] = replace(every[place], found=True)
    return tuple(every)


def _of_ratios(
    gap: NDArray[np.float64],
    weight: NDArray[np.float64],
    draws: Draws,
    signs: NDArray[np.float32],
) -> tuple[float, float, float]:
    """Interval and p-value of a difference that is a ratio of sums over images; signs:
    (PERMUTATIONS, units) -1 where the two are swapped, else 1."""
    drawn = draws.sums(np.stack([gap, weight], axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = interval(drawn[:, 0] / drawn[:, 1]) or (np.nan, np.nan)
    units = np.bincount(draws.member, gap, draws.counts.shape[1])
    as_much = int((np.abs(signs @ units) >= abs(float(units.sum())) - 1e-9).sum())
    return low, high, (as_much + 1) / (PERMUTATIONS + 1)


def _of_areas(
    gap: NDArray[np.float64], bad: NDArray[np.bool_], difference: float, draws: Draws
) -> tuple[float, float, float]:
    """Interval and p-value of a difference of two areas under the curve: DeLong's test for groups
    (Obuchowski 1997, https://doi.org/10.2307/2533958)."""
    pull = np.where(bad, (gap - difference) / bad.sum(), (gap - difference) / (~bad).sum())
    units = draws.counts.shape[1]
    by_unit = np.bincount(draws.member, pull, units)
    error = float(np.sqrt((by_unit**2).sum() * units / max(1, units - 1)))
    if error < 1e-12:
        return difference, difference, 1.0 if abs(difference) < 1e-12 else 0.0
    return (
        difference - 1.96 * error,
        difference + 1.96 * error,
        float(2 * ndtr(-abs(difference) / error)),
    )


def _alike(first: Kept, second: Kept) -> tuple[Kept, Kept]:
    """Both in the same classes: where one names more defects, those are deviations."""
    if first.line.decides == second.line.decides:
        return first, second
    line = first.line.of_classes(set(first.line.class_names) & set(second.line.class_names))
    if line is None or first.line.joined(second.line) is None:
        raise EvaluationError(
            f"line '{first.line.name}' and line '{second.line.name}' have different classes. "
            "Compare bundles of one line"
        )
    return _named_less(first, line), _named_less(second, line)


def _named_less(kept: Kept, line: Line) -> Kept:
    """The evaluation as if its bundle named no other defects than `line` does."""
    unnamed = [name for name in kept.line.class_names if name not in line.class_names]
    images = kept.images
    deviating = images[[PROBABILITY + name for name in (DEVIATION, *unnamed)]].sum(axis=1)
    truth = images["truth"].mask(images["truth"].isin(unnamed), DEVIATION)
    images = images.assign(**{PROBABILITY + DEVIATION: deviating, "truth": truth})
    about = kept.about.model_copy(update={"line": line})
    return Kept(about, images, kept.defects, kept.regions, kept.pixels)


def _matched(first: Kept, second: Kept) -> tuple[NDArray[np.int64], tuple[int, int]]:
    """(N, 2) row numbers of the images that both have, and how many only one has; a file that a set
    holds several times counts once."""
    one, two = (_digests(kept) for kept in (first, second))
    shared = one.index.intersection(two.index, sort=False)
    if not len(shared):
        raise EvaluationError(
            "the two evaluations have no image in common. Evaluate both bundles on the same images"
        )
    rows = np.stack([one[shared].to_numpy(np.int64), two[shared].to_numpy(np.int64)], axis=1)
    rows = rows[np.argsort(rows[:, 0])]
    return rows, (len(one) - len(shared), len(two) - len(shared))


def _digests(kept: Kept) -> pd.Series:
    """The first row number of each file that can be told by its content."""
    rows = pd.Series(np.arange(len(kept)), index=kept.images["digest"])
    return rows[(rows.index != "") & ~rows.index.duplicated()]


def _differing(one: Kept, two: Kept, policies: tuple[Policy, Policy]) -> NDArray[np.int64]:
    said = [verdicts(kept, policy) for kept, policy in zip((one, two), policies, strict=True)]
    label = [named(kept, policy) for kept, policy in zip((one, two), policies, strict=True)]
    differ = (said[0] != said[1]) | (label[0] != label[1]).any(1)
    right = [_right(kept, verdict) for kept, verdict in zip((one, two), said, strict=True)]
    places = np.flatnonzero(differ)
    return places[np.argsort(right[0][places] == right[1][places], kind="stable")]


def _right(kept: Kept, said: NDArray[np.int8]) -> NDArray[np.bool_]:
    return np.where(kept.defective, said == REJECT, said == ACCEPT).astype(bool)


def _in_words(one: Kept, two: Kept, differences: tuple[Difference, ...], images: int) -> str:
    found = [d for d in differences if d.found and d.difference is not None]
    groups = int(one.groups.max(initial=-1)) + 1
    of = f"on {images:,} images of {groups:,} photo groups"
    names = names_of(one, two)
    learned = [
        f"{name} learned from {int((~kept.unseen).sum()):,} of them"
        for name, kept in zip(names, (one, two), strict=True)
        if not kept.unseen.all()
    ]
    if learned:
        of += f" ({', '.join(learned)})"
    if not found:
        return f"No difference found {of}."
    said = ", ".join(
        f"{d.title.lower()} {d.first:.2%} and {d.second:.2%}"
        if d.metric not in ("brier", "auc")
        else f"{d.title[0].lower() + d.title[1:]} {d.first:.4f} and {d.second:.4f}"
        for d in found
    )
    return f"{' and '.join(names)} differ {of}: {said}."


def names_of(one: Kept, two: Kept) -> tuple[str, str]:
    """What two bundles are called, with their versions where they have one name."""
    first, second = one.about, two.about
    if first.bundle != second.bundle:
        return first.bundle, second.bundle
    return f"{first.bundle} {first.version}", f"{second.bundle} {second.version}"
