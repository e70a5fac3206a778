"""Known defects by name, beside the memory of good parts, and both eyes as one score.

A head on what the farthest places show knows the defects that were learned; the memory sees what
nobody has named. The log-odds of a deviation are the memory's, those of a named defect the memory's
and the head's together, so that the head alone decides which name is given, or none, and no part
that deviates passes because the head knows nothing of it. How much either counts is fitted on parts
that neither has learned from: on good ones, on named defects, and on defects of each kind as a head
sees them that was learned without that kind: above all they must be found, and their right name is
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.line import Line
from defectvision.bundle.schema import Measure
from defectvision.evaluation.metrics import Metric, area_under, exact_if_alike, resample, share_of
from defectvision.evaluation.promise import highest, limit_of
from defectvision.models.memory import PatchMemory
from defectvision.models.prediction import bias_of
from defectvision.training.frozen import NEVER, regression
from defectvision.training.remember import tail

GOOD, UNKNOWN = 0, -1  # kinds of parts; a named defect's are counted from 1
HELD_BACK = 1e-3  # of the weights of the two eyes, squared: where they tell all apart, it ends
NAMELESS = 0.25  # how much it counts that an unknown defect gets no name, beside that it is found


@dataclass(frozen=True, eq=False)
class Head:
    """Log-odds of each named defect against a good part, linear in what the places of a picture
    show: weight (K, D), bias (K,)."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    @classmethod
    def of(cls, seen: Seen, rows: NDArray[np.bool_]) -> Head:
        """The one that fits the good and the named ones among these parts (N,)."""
        rows = rows & (seen.kind >= GOOD)
        kinds = np.unique(seen.kind[rows])
        weight = np.zeros((seen.names, seen.shown.shape[1]))
        bias = np.full(seen.names, NEVER)
        if len(kinds) > 1:
            found, shift = regression(seen.shown[rows], seen.kind[rows], seen.parts[rows])
            if len(kinds) > 2:
                found, shift = found[1:] - found[:1], shift[1:] - shift[:1]
            weight[kinds[1:] - 1], bias[kinds[1:] - 1] = found, shift
        return cls(weight, bias)

    def log_odds(self, shown: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, K)"""
        return np.asarray(shown @ self.weight.T + self.bias, float)


@dataclass(frozen=True, eq=False)
class Seen:
    """What both eyes have to judge parts by, none of which the memory asked holds.

    shown: (N, D), see `remember.Looked`; distance: (N,), of the strongest places, as log-odds;
    kind: (N,) GOOD, UNKNOWN, or the number of its defect, 1 to `names`; parts: (N,) photo groups;
    folds: (N,).
    """

    shown: NDArray[np.float32]
    distance: NDArray[np.float64]
    kind: NDArray[np.int_]
    parts: NDArray[np.str_]
    folds: NDArray[np.int_]
    names: int

    def take(self, rows: NDArray[np.bool_]) -> Seen:
        """Those of the parts (N,) that are chosen."""
        columns = ("shown", "distance", "kind", "parts", "folds")
        chosen: dict[str, Any] = {name: getattr(self, name)[rows] for name in columns}
        return replace(self, **chosen)


@dataclass(frozen=True)
class Joint:
    """Factor and shift of the memory's log-odds, and of the head's."""

    memory: tuple[float, float]
    head: tuple[float, float]

    def log_odds(
        self, distance: NDArray[np.float64], named: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(N, 1 + K) against a good part: of a deviation, and of each named defect; distance: (N,)
        of the memory; named: (N, K) of the head."""
        deviating = self.memory[0] * distance + self.memory[1]
        known = deviating[:, None] + self.head[0] * named + self.head[1]
        return np.concatenate([deviating[:, None], known], 1)

    def scores(
        self, distance: NDArray[np.float64], named: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(N,) log-odds that a part is not good."""
        return np.asarray(logsumexp(self.log_odds(distance, named), axis=1), float)

    def scaled(self, factor: float, shift: float) -> Joint:
        """The same, but that its log-odds are `factor` times as large and then shifted."""
        a, b, c, d = (factor * number for number in (*self.memory, *self.head))
        return Joint((a, b + shift), (c, d))


@dataclass(frozen=True, eq=False)
class Names:
    """heads: of all that is named, and without each fold; joint: how both eyes count; named: (N, K)
    log-odds by the head of the part's fold; left_out: (N, K), of a named part those by a head
    that was learned without its kind."""

    whole: Head
    parted: tuple[Head, ...]
    joint: Joint
    named: NDArray[np.float64]
    left_out: NDArray[np.float64]

    def by_fold(self, seen: Seen) -> NDArray[np.float64]:
        """(N, K) log-odds of each part by the head without its fold."""
        return _by_fold(self.parted, seen)


def learn_names(seen: Seen, usual: NDArray[np.bool_]) -> Names:
    """Heads and how they count beside the memory. usual: (N,) good parts, by whose scores both
    eyes' log-odds are 0 where the memory's are: where one good picture in a hundred lies above."""
    folds = range(int(seen.folds.max()) + 1)
    parted = tuple(Head.of(seen, seen.folds != fold) for fold in folds)
    named = _by_fold(parted, seen)
    left_out = _left_out(seen)
    joint = _fitted(seen, named, left_out)
    factor, _ = tail(joint.scores(seen.distance, named)[usual])
    scaled = joint.scaled(factor, 0)
    factor, shift = tail(scaled.scores(seen.distance, named)[usual])
    whole = Head.of(seen, np.ones(len(seen.kind), bool))
    return Names(whole, parted, scaled.scaled(1, shift / factor), named, left_out)


def _by_fold(parted: Sequence[Head], seen: Seen) -> NDArray[np.float64]:
    every = np.stack([head.log_odds(seen.shown) for head in parted])
    return every[seen.folds, np.arange(len(seen.folds))]


def _left_out(seen: Seen) -> NDArray[np.float64]:
    """(N, K) log-odds of each named part by a head that was learned without all parts that show its
    kind; NEVER of other parts."""
    found = np.full((len(seen.kind), seen.names), NEVER)
    for kind in range(1, seen.names + 1):
        own = seen.kind == kind
        head = Head.of(seen, ~np.isin(seen.parts, seen.parts[own]))
        found[own] = head.log_odds(seen.shown[own])
    return found


def _fitted(seen: Seen, named: NDArray[np.float64], left_out: NDArray[np.float64]) -> Joint:
    """What makes parts that neither eye has learned from likeliest: good, known and unknown ones.
    Good and defective parts count alike, and of the latter known and unknown ones. That an unknown
    one is taken as any defect counts more than that it is taken as none with a name."""
    known = seen.kind > GOOD
    distance = np.concatenate([seen.distance, seen.distance[known]])
    by_head = np.concatenate([named, left_out[known]])
    kind = np.concatenate([seen.kind, np.full(int(known.sum()), UNKNOWN)])
    weight = np.zeros(len(kind))
    for rows, share in ((kind == GOOD, 0.5), (kind > GOOD, 0.25), (kind == UNKNOWN, 0.25)):
        weight[rows] = share / max(1, int(rows.sum()))
    column = np.select([kind == GOOD, kind == UNKNOWN], [0, 1], kind + 1)

    def loss(numbers: NDArray[np.float64]) -> float:
        odds = Joint((numbers[0], numbers[1]), (numbers[2], numbers[3])).log_odds(distance, by_head)
        odds = np.concatenate([np.zeros((len(odds), 1)), odds], 1)
        each, any_of_them = odds[np.arange(len(odds)), column], logsumexp(odds, axis=1)
        found = NAMELESS * each + (1 - NAMELESS) * logsumexp(odds[:, 1:], axis=1)
        likely = np.where(kind == UNKNOWN, found, each) - any_of_them
        return float(HELD_BACK * (numbers[0] ** 2 + numbers[2] ** 2) - weight @ likely)

    found = minimize(
        loss,
        np.array([1.0, 0.0, 1.0, 0.0]),
        method="L-BFGS-B",
        bounds=((0, None), (None, None), (0, None), (None, None)),
    ).x.tolist()
    return Joint((found[0], found[1]), (found[2], found[3]))


@dataclass(frozen=True, eq=False)
class ServedHead:
    """As a network holds it: weight (C - 1, E), bias (C - 1,) float32 that fp16 can hold, a row a
    defect of the line, zeros for what deviates."""

    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def of(cls, head: Head, joint: Joint, line: Line) -> ServedHead:
        weight = torch.zeros(len(line.defect_names), head.weight.shape[1])
        bias = torch.zeros(len(weight))
        rows = [i for i, name in enumerate(line.defect_names) if name != DEVIATION]
        weight[rows] = torch.tensor(joint.head[0] * head.weight).half().float()
        bias[rows] = torch.tensor(joint.head[0] * head.bias + joint.head[1]).half().float()
        return cls(weight, bias)

    def put(self, network: PatchMemory) -> None:
        """Make it the network's."""
        assert network.head is not None
        with torch.no_grad():
            network.head.weight.copy_(self.weight[:, :, None, None])
            bias_of(network.head).copy_(self.bias)

    def scores(
        self, deviating: NDArray[np.float64], shown: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """(N,) log-odds that a part is not good, from those that it deviates (N,) and (N, D)."""
        named = torch.from_numpy(shown) @ self.weight.T + self.bias
        return np.asarray(deviating + logsumexp(named.double().numpy(), axis=1), float)


@dataclass(frozen=True, eq=False)
class Served:
    """Heads as they are served: of all that is named, and without each fold."""

    whole: ServedHead
    parted: tuple[ServedHead, ...]

    def scores(
        self,
        deviating: NDArray[np.float64],
        shown: NDArray[np.float32],
        folds: NDArray[np.int_],
    ) -> NDArray[np.float64]:
        """As `ServedHead.scores`, of each part by the head without its fold (N,)."""
        found = np.stack([head.scores(deviating, shown) for head in self.parted])
        return found[folds, np.arange(len(folds))]


def compared(seen: Seen, names: Names, asked: float) -> dict[str, Any]:
    """What both eyes tell together and each alone, as `Measure`s with intervals by photo group.

    auc: of good parts against defective ones; escapes: share of the defective ones that pass a
    limit of the eye's own, set by good parts so that it stops at most the share `asked` of them, as
    far as so many can promise it; unknown: the same of parts whose kind was left out of learning.
    """
    bad = seen.kind != GOOD
    eyes = {
        "both": (
            names.joint.scores(seen.distance, names.named),
            names.joint.scores(seen.distance, names.left_out),
        ),
        "memory": (seen.distance, seen.distance),
        "head": (logsumexp(names.named, axis=1), logsumexp(names.left_out, axis=1)),
    }
    metrics: dict[str, Metric] = {}
    passed: dict[str, NDArray[np.bool_]] = {}  # which parts (N,) a share of those that pass is of
    for eye, (scores, left_out) in eyes.items():
        limit, _ = limit_of(highest(scores[~bad], seen.parts[~bad]), asked)
        metrics[f"auc/{eye}"] = area_under(bad, scores)
        metrics[f"escapes/{eye}"] = share_of(scores <= limit, bad)
        passed[f"escapes/{eye}"] = bad
        if seen.names > 1:
            metrics[f"unknown/{eye}"] = share_of(left_out <= limit, seen.kind > GOOD)
            passed[f"unknown/{eye}"] = seen.kind > GOOD
    for eye in ("memory", "head"):
        metrics[f"auc/more than {eye}"] = _gap(metrics["auc/both"], metrics[f"auc/{eye}"])
    found = resample(metrics, seen.parts.tolist())
    for name, of in passed.items():
        found[name] = exact_if_alike(found[name], len(np.unique(seen.parts[of])))
    return {name: one.model_dump() for name, one in found.items() if one is not None}


def in_both_words(told: Mapping[str, Any]) -> str:
    """What `compared` found, as sentences; empty where nothing was compared."""
    if not told:
        return ""

    def share(name: str) -> str:
        one = Measure.model_validate(told[name])
        return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})".replace("%", " %")

    def area(eye: str) -> str:
        return f"{told[f'auc/{eye}']['value']:.3f}"

    said = (
        f"Memory and names together tell good from defective parts with an AUC of {area('both')}, "
        f"the memory alone of {area('memory')}, the names alone of {area('head')}."
    )
    if "unknown/both" in told:
        said += (
            " Of defects of a kind that was left out of learning, it would accept "
            f"{share('unknown/both')}, the memory alone {share('unknown/memory')}."
        )
    return said


def _gap(one: Metric, other: Metric) -> Metric:
    return lambda weights: one(weights) - other(weights)
