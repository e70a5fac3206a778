"""Classification metrics under a policy, with intervals resampled by photo group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle import policy as policies
from defectvision.bundle.labels import SEPARATOR, label_names
from defectvision.bundle.line import Line
from defectvision.bundle.policy import UNMEASURED, Measured, Policy, Verdict
from defectvision.bundle.schema import Measure
from defectvision.data.resampling import clopper_pearson, drawn_weights, interval, interval_about
from defectvision.evaluation.calibration import calibration_gap

RESAMPLES = 1000
# What calling every part good would bring to perfection where no part is defective.
OF_BOTH_KINDS = ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error")

Metric = Callable[[NDArray[np.float64]], float]


def judge(
    probabilities: NDArray[np.floating],
    unobjected: NDArray[np.bool_],
    truth: list[str],
    groups: list[str],
    line: Line,
    policy: Policy,
    measured: Sequence[Measured] = (),
) -> pd.DataFrame:
    """One row an image: true class, photo group, score, and label and verdict under `policy`;
    several labels of one image are joined by `|` in the line's order.

    probabilities: (N, C) in the order of the line's classes; unobjected: (N,) bool, the images
    to which the gate does not object; measured: what the policy's rules say of each, empty where
    it has none.
    """
    rows = []
    said = measured or [UNMEASURED] * len(probabilities)
    for values, judged, found in zip(probabilities, unobjected.tolist(), said, strict=True):
        named = dict(zip(line.class_names, values.tolist(), strict=True))
        score = policies.defect_score(named, line)
        standing = policy.standing(score, found.verdict)
        verdict = policies.verdict(score, policy, judged=judged, measured=found.verdict)
        rows.append(
            {
                "score": score,
                "label": _joined(policies.labels(named, standing, policy, line, found), line),
                "verdict": verdict.value,
            }
        )
    truth = [_joined(label_names(label), line) for label in truth]
    return pd.DataFrame(rows).assign(truth=truth, group=groups)


def _joined(names: Collection[str], line: Line) -> str:
    return SEPARATOR.join(name for name in line.class_names if name in names)


def measure(
    judged: pd.DataFrame, probabilities: NDArray[np.floating], line: Line, seed: int = 0
) -> dict[str, Measure | None]:
    """All metrics of `judged` images with 95 % intervals.

    accuracy, balanced_accuracy (mean recall), macro_f1: of the label; auc: good against
    defective by the defect score, or the mean one-against-rest where the line has no good class;
    calibration_error: of the defect score, of the most probable class where the line has no good
    one, and on a multilabel line the mean over the classes;
    escapes: share of defective parts that were accepted; overkills: share of good parts that
    were rejected; reviews: share of all parts sent to review. Escapes and overkills are None
    where the line has no good class. A metric that the images cannot give is None, as those
    OF_BOTH_KINDS are where none of them is defective. One that is
    the same for every draw has the exact interval of a share of the photo groups that it rests on:
    of the class that has the fewest, where it is a mean over classes.
    """
    metrics = _metrics(judged, probabilities, line)
    if _good(judged, line).all():
        empty = [name for name in metrics if name.partition("/")[0] in OF_BOTH_KINDS]
        metrics |= dict.fromkeys(empty, lambda weights: np.nan)
    found = resample(metrics, judged["group"].tolist(), seed)
    resting = _resting(judged, line)
    return {name: exact_if_alike(one, resting.get(name, 0)) for name, one in found.items()}


def exact_if_alike(share: Measure | None, parts: int) -> Measure | None:
    """The share of `parts` photo groups; where all draws of them were alike, with its exact
    interval, as drawing the same again cannot tell how rare others are."""
    if share is None or share.value is None or share.low != share.high or not parts:
        return share
    low, high = clopper_pearson(share.value * parts, parts)
    return Measure(value=share.value, low=_short(low), high=_short(high))


def _good(judged: pd.DataFrame, line: Line) -> pd.Series:
    """Which images show no defect."""
    return judged["truth"].isin(line.good_names) | (judged["truth"] == "")


def _resting(judged: pd.DataFrame, line: Line) -> dict[str, int]:
    """On how many photo groups each metric rests that is a share, or a mean of shares."""
    shown = judged["truth"].map(label_names)
    of_class = {name: shown.map(lambda names, one=name: one in names) for name in line.class_names}
    good = _good(judged, line)

    def parts(of: pd.Series) -> int:
        return int(judged["group"][of].nunique())

    def fewest(*kinds: pd.Series) -> int:
        return min(filter(None, map(parts, kinds)), default=0)

    every = int(judged["group"].nunique())
    classes = fewest(*of_class.values())
    kinds = fewest(good, ~good)
    several = line.label_mode == "multilabel"
    return {
        "accuracy": every,
        "balanced_accuracy": kinds if several else classes,
        "macro_f1": classes,
        "auc": kinds if several or line.can_accept else classes,
        **{f"auc/{name}": fewest(of, ~of) for name, of in of_class.items() if several},
        "reviews": every,
        "escapes": parts(~good),
        "overkills": parts(good),
    }


def resample(
    metrics: dict[str, Metric], groups: Sequence[str], seed: int = 0
) -> dict[str, Measure | None]:
    """Each metric with its 95 % interval, from RESAMPLES draws of the photo groups.

    groups: (N,) photo group of each image. A metric takes the images' weights (N,), how often
    each was drawn; where it gives NaN for the images themselves, the answer is None.
    """
    values = {name: metric(np.ones(len(groups))) for name, metric in metrics.items()}
    spread: dict[str, list[float]] = {n: [] for n, value in values.items() if not np.isnan(value)}
    for weights in drawn_weights(groups, RESAMPLES, seed):
        for name, drawn in spread.items():
            drawn.append(metrics[name](weights))
    measures: dict[str, Measure | None] = dict.fromkeys(metrics)
    for name, drawn in spread.items():
        value = values[name]
        gaps = name.partition("/")[0] == "calibration_error"
        found = interval_about(value, drawn) if gaps else interval(drawn)
        low, high = found or (value, value)
        measures[name] = Measure(value=_short(value), low=_short(low), high=_short(high))
    return measures


def confusion(judged: pd.DataFrame, line: Line) -> dict[str, dict[str, int]]:
    """Images by true class and label: {truth: {label: count}}."""
    table = pd.crosstab(judged["truth"], judged["label"])
    table = table.reindex(index=line.class_names, columns=line.class_names, fill_value=0)
    return {str(t): {str(k): int(v) for k, v in row.items()} for t, row in table.iterrows()}


def _metrics(
    judged: pd.DataFrame, probabilities: NDArray[np.floating], line: Line
) -> dict[str, Metric]:
    """Each metric as a function of the images' weights."""
    if line.label_mode == "multilabel":
        return _multilabel_metrics(judged, probabilities, line)
    number = {name: i for i, name in enumerate(line.class_names)}
    truth = judged["truth"].map(number).to_numpy()
    label = judged["label"].map(number).to_numpy()
    classes = len(number)
    good = np.isin(truth, [number[c.name] for c in line.classes if c.kind == "ok"])

    def table(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        cells = np.bincount(truth * classes + label, weights, minlength=classes * classes)
        return np.asarray(cells, np.float64).reshape(classes, classes)

    def accuracy(weights: NDArray[np.float64]) -> float:
        return float(weights[truth == label].sum() / weights.sum())

    def balanced_accuracy(weights: NDArray[np.float64]) -> float:
        counts = table(weights)
        present = counts.sum(1) > 0
        return float((counts.diagonal()[present] / counts.sum(1)[present]).mean())

    def macro_f1(weights: NDArray[np.float64]) -> float:
        counts = table(weights)
        size = counts.sum(0) + counts.sum(1)
        present = counts.sum(1) > 0
        return float((2 * counts.diagonal()[present] / size[present]).mean())

    if line.can_accept:
        areas = [area_under(~good, judged["score"].to_numpy(float))]
    else:
        areas = [area_under(truth == c, probabilities[:, c]) for c in range(classes)]

    def auc(weights: NDArray[np.float64]) -> float:
        parts = [area(weights) for area in areas]
        return float(np.nanmean(parts)) if not np.isnan(parts).all() else np.nan

    def calibration_error(weights: NDArray[np.float64]) -> float:
        if line.can_accept:
            return calibration_gap(judged["score"].to_numpy(float), ~good, weights)
        return calibration_gap(probabilities.max(1), probabilities.argmax(1) == truth, weights)

    return {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "auc": auc,
        "calibration_error": calibration_error,
        **_verdict_metrics(judged, good, line),
    }


def _multilabel_metrics(
    judged: pd.DataFrame, probabilities: NDArray[np.floating], line: Line
) -> dict[str, Metric]:
    """Each image has any number of labels; one without is good."""

    def table(column: str) -> NDArray[np.bool_]:
        sets = judged[column].map(label_names)
        return np.array([[n in names for n in line.class_names] for names in sets], bool)

    truth, label = table("truth"), table("label")
    good = np.asarray(~truth.any(1))
    score = judged["score"].to_numpy(float)

    def accuracy(weights: NDArray[np.float64]) -> float:
        return float(weights[(truth == label).all(1)].sum() / weights.sum())

    def balanced_accuracy(weights: NDArray[np.float64]) -> float:
        kinds = [k for k in (good, ~good) if weights[k].sum()]
        right = good == ~label.any(1)
        return float(np.mean([weights[k & right].sum() / weights[k].sum() for k in kinds]))

    def macro_f1(weights: NDArray[np.float64]) -> float:
        hits = weights @ (truth & label)
        size = weights @ truth + weights @ label
        present = weights @ truth > 0
        return float((2 * hits[present] / size[present]).mean()) if present.any() else np.nan

    def class_error(c: int) -> Metric:
        return lambda weights: calibration_gap(probabilities[:, c], truth[:, c], weights)

    errors = [class_error(i) for i in range(len(line.class_names))]

    def calibration_error(weights: NDArray[np.float64]) -> float:
        return float(np.mean([error(weights) for error in errors]))

    return {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "macro_f1": macro_f1,
        "auc": area_under(~good, score),
        **{
            f"auc/{name}": area_under(truth[:, i], probabilities[:, i])
            for i, name in enumerate(line.class_names)
        },
        "calibration_error": calibration_error,
        **{f"calibration_error/{n}": e for n, e in zip(line.class_names, errors, strict=True)},
        **_verdict_metrics(judged, good, line),
    }


def _verdict_metrics(
    judged: pd.DataFrame, good: NDArray[np.bool_], line: Line
) -> dict[str, Metric]:
    """How the verdicts fall on good and defective parts."""
    verdict = judged["verdict"].to_numpy()
    everything, nothing = np.ones(len(judged), bool), np.zeros(len(judged), bool)
    return {
        "reviews": share_of(verdict == Verdict.REVIEW, everything),
        "escapes": share_of(verdict == Verdict.ACCEPT, ~good if line.can_accept else nothing),
        "overkills": share_of(verdict == Verdict.REJECT, good),
    }


def share_of(chosen: NDArray[np.bool_], of: NDArray[np.bool_]) -> Metric:
    """The share of the images `of` (N,) that are `chosen` (N,)."""

    def metric(weights: NDArray[np.float64]) -> float:
        total = weights[of].sum()
        return float(weights[of & chosen].sum() / total) if total else np.nan

    return metric


def area_under(positive: NDArray[np.bool_], score: NDArray[np.floating]) -> Metric:
    """The area under the ROC curve; ordered once, as it is asked for every draw."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    first = np.flatnonzero(np.diff(ranked, prepend=-np.inf) > 0)  # of each level of the score
    is_positive = positive[order]

    def metric(weights: NDArray[np.float64]) -> float:
        drawn = weights[order]
        hits = np.add.reduceat(np.where(is_positive, drawn, 0), first)
        others = np.add.reduceat(np.where(is_positive, 0, drawn), first)
        total = hits.sum() * others.sum()
        below = np.cumsum(others) - others / 2
        return float((hits * below).sum() / total) if total else np.nan

    return metric


def _short(value: float) -> float:
    return round(float(value), 5)
