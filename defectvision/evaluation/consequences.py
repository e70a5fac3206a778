"""What a policy's two thresholds come to: escapes, overkill, reviews and their cost, and the
thresholds that cost least.

Shares are those of the images; what is expected per 1000 parts follows from the share of defective
parts that is expected in production, which a labelled set rarely has. Intervals are drawn again by
photo group (`data/resampling.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.data.resampling import clopper_pearson, interval
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.outcomes import ACCEPT, REJECT, REVIEW, measured, verdicts

PARTS = 1000  # that costs are told of
LARGEST = 1e12  # cost, so that none of them drowns the others in rounding


@dataclass(frozen=True)
class Share:
    """`count` of `of`, and its share with a 95 % interval; None where there are none."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Expected:
    """A figure per 1000 parts with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Costs:
    """What one escape, one overkill and one review cost, in any one currency, and the share of
    parts that is expected to be defective, 0 to 1."""

    escape: float
    overkill: float
    review: float
    defect_rate: float

    def __post_init__(self) -> None:
        if not all(0 <= cost <= LARGEST for cost in (self.escape, self.overkill, self.review)):
            raise EvaluationError(
                "a cost below 0 or above all measure: give what an escape, an overkill and a "
                f"review cost, from 0 to {LARGEST:.0e}"
            )
        if not 0 <= self.defect_rate <= 1:
            raise EvaluationError(
                f"the expected defect rate is {self.defect_rate}: give a share from 0 to 1"
            )


@dataclass(frozen=True)
class Consequence:
    """What a policy does with the images of an evaluation.

    escapes: defective parts that are accepted; overkills: good parts that are rejected; reviews:
    all parts that a person must look at, and those among the good and the defective ones. The
    others are expected per 1000 parts of production; None without `Costs`, or where the images
    hold no good or no defective part.
    """

    policy: Policy
    escapes: Share
    overkills: Share
    reviews: Share
    good_reviews: Share
    defective_reviews: Share
    expected_escapes: Expected | None = None
    expected_overkills: Expected | None = None
    expected_reviews: Expected | None = None
    cost: Expected | None = None


def consequence(kept: Kept, policy: Policy, costs: Costs | None = None) -> Consequence:
    """What the policy comes to on the images of `kept`. Raises EvaluationError as `verdicts`.

    Escapes and overkills of a line that knows no good part are counted of no parts.
    """
    said, bad = verdicts(kept, policy), kept.defective
    can_accept = kept.line.can_accept
    parts = np.stack(
        [bad & (said == v) for v in (ACCEPT, REVIEW, REJECT)]
        + [~bad & (said == v) for v in (ACCEPT, REVIEW, REJECT)],
        axis=1,
    )
    counts = parts.sum(0).astype(np.float64)
    drawn = kept.draws.sums(parts)

    def share(chosen: list[int], of: list[int]) -> Share:
        groups = int(np.count_nonzero(np.bincount(kept.groups[parts[:, of].any(1)])))
        return _share(counts, drawn, chosen, of, groups)

    # A line without a good class accepts nothing: then no part can escape.
    defective, good = ([0, 1, 2] if can_accept else []), [3, 4, 5]
    found = Consequence(
        policy,
        escapes=share([0], defective),
        overkills=share([5], good),
        reviews=share([1, 4], [0, 1, 2, 3, 4, 5]),
        good_reviews=share([4], good),
        defective_reviews=share([1], [0, 1, 2]),
    )
    if costs is None or not counts[:3].sum() or not counts[3:].sum():
        return found
    rate = costs.defect_rate
    with np.errstate(invalid="ignore", divide="ignore"):
        rates = np.vstack([counts, drawn])
        of_bad = rates[:, :3] / rates[:, :3].sum(1, keepdims=True) * rate * PARTS
        of_good = rates[:, 3:] / rates[:, 3:].sum(1, keepdims=True) * (1 - rate) * PARTS
    escapes, overkills, reviews = of_bad[:, 0], of_good[:, 2], of_bad[:, 1] + of_good[:, 1]
    cost = _expected(costs.escape * escapes + costs.overkill * overkills + costs.review * reviews)
    escaped = _at_most(_expected(escapes), found.escapes, rate)
    killed = _at_most(_expected(overkills), found.overkills, 1 - rate)
    # What was never seen may be all the same, and cost.
    unseen = costs.escape * escaped.high * (not found.escapes.count)
    unseen += costs.overkill * killed.high * (not found.overkills.count)
    return replace(
        found,
        expected_escapes=escaped,
        expected_overkills=killed,
        expected_reviews=_expected(reviews),
        cost=replace(cost, high=cost.high + unseen),
    )


def _at_most(expected: Expected, share: Share, rate: float) -> Expected:
    """As often as the share's interval allows, where none was seen."""
    if share.count or share.high is None:
        return expected
    return replace(expected, high=share.high * rate * PARTS)


def _share(
    counts: NDArray[np.float64],
    drawn: NDArray[np.float64],
    chosen: list[int],
    of: list[int],
    groups: int,
) -> Share:
    total = counts[of].sum()
    if not total:
        return Share(0, 0, None, None, None)
    count = counts[chosen].sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = interval(drawn[:, chosen].sum(1) / drawn[:, of].sum(1)) or (np.nan, np.nan)
    value = float(count / total)
    if value in (0.0, 1.0):  # drawing the same again cannot tell how rare the others are
        low, high = clopper_pearson(round(value * groups), groups)
    return Share(int(count), int(total), value, float(low), float(high))


def _expected(values: NDArray[np.float64]) -> Expected:
    """Of the images themselves, which stand first, and of the draws."""
    low, high = interval(values[1:]) or (values[0], values[0])
    return Expected(float(values[0]), float(low), float(high))


def least_cost(kept: Kept, policy: Policy, costs: Costs) -> Policy:
    """`policy` with the thresholds of least cost on these images, each in the middle of the gap
    between two scores in which it may lie. Raises EvaluationError where the images hold no good or
    no defective part, and where scores do not decide.

    What follows was chosen on these images: on others it costs a little more.
    """
    bad = kept.defective
    if not bad.any() or bad.all() or not kept.line.can_accept:
        raise EvaluationError(
            "costs need good and defective parts: this evaluation has "
            f"{int(bad.sum())} defective of {len(kept)}. Evaluate images of both"
        )
    weight = np.where(bad, costs.defect_rate / bad.sum(), (1 - costs.defect_rate) / (~bad).sum())
    may_accept, may_reject = movable(kept, policy)
    # Cost of accepting, and of rejecting, instead of having a person look at the part.
    accepting = np.where(may_accept, weight * (costs.escape * bad - costs.review), 0)
    rejecting = np.where(may_reject, weight * (costs.overkill * ~bad - costs.review), 0)
    levels, place = np.unique(kept.scores, return_inverse=True)
    # Threshold number i lies below levels[i]; the last one above all.
    below = np.concatenate([[0], np.cumsum(np.bincount(place, accepting))])
    over = np.bincount(place, rejecting)
    above = np.concatenate([np.cumsum(over[::-1])[::-1], [0]])
    tolerance = 1e-12 * max(1.0, float(np.abs(below).max()), float(np.abs(above).max()))
    cheapest = np.minimum.accumulate(below)
    upper = _middle_of_ties(cheapest + above, tolerance)
    lower = _middle_of_ties(below[: upper + 1], tolerance)
    limits = [_between(levels, lower), _between(levels, upper)]
    return with_thresholds(policy, *limits)


def _middle_of_ties(costs: NDArray[np.float64], tolerance: float) -> int:
    """The place of the least cost; of several equal ones the middle."""
    best = np.flatnonzero(costs <= costs.min() + tolerance)
    return int(best[len(best) // 2])


def movable(kept: Kept, policy: Policy) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(N,) which parts a low enough threshold accepts, and which one rejects: not those that the
    gate or the rules decide on. Raises EvaluationError where scores do not decide."""
    if not policy.score_decides:
        raise EvaluationError("the policy's rules alone decide, so its thresholds change nothing")
    said = measured(kept, policy)[0]
    free = kept.judged & ~np.isnan(kept.scores)
    if said is None:
        return free, free
    return free & (said == ACCEPT), free & (said != REJECT)


def with_thresholds(policy: Policy, accept_below: float, reject_above: float) -> Policy:
    """`policy` with other thresholds."""
    content = policy.model_dump() | {
        "accept_below": accept_below,
        "reject_above": max(accept_below, reject_above),
    }
    return Policy.model_validate(content)


def _between(levels: NDArray[np.float64], place: int) -> float:
    """A threshold that lies above `place` of the `levels`, none of which it touches from below."""
    low = float(levels[place - 1]) if place else 0.0
    high = float(levels[place]) if place < len(levels) else 1.0
    return threshold_between(low, high)


def threshold_between(low: float, high: float) -> float:
    """The middle of a gap, with as few digits as lie in it: above `low`, at most `high`."""
    middle = (low + high) / 2
    for digits in range(2, 17):
        rounded = round(middle, digits)
        if low < rounded <= high:
            return min(1.0, max(0.0, rounded))
    return high
