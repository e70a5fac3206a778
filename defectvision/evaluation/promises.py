"""Thresholds that keep a promise: at most so many escapes, with what certainty, and how many photo
groups it takes to say so.

Photo groups are what is drawn: pictures of one group say no more than one. Both promises hold for
groups from where these came from, however the scores are distributed, and say nothing of another
product, camera or light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.evaluation.consequences import movable, with_thresholds
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.promise import SURE, most_above, most_stopped, parts_needed
from defectvision.words import counted

OFF = 1.0  # the highest threshold there is
DIGITS = 4  # of a threshold, which lies a little further on the safe side for it


@dataclass(frozen=True)
class Promise:
    """A policy and what can be promised of it.

    policy: None where the groups are too few. asked: the share that shall not be exceeded;
    groups: photo groups with a part that counts; missing: how many more are needed; words: the
    guarantee, or what is missing.
    """

    policy: Policy | None
    asked: float
    groups: int
    missing: int
    words: str


def most_escapes(kept: Kept, policy: Policy, asked: float) -> Promise:
    """The highest `accept_below` of which can be promised, 95 % sure, that of at most `asked` of
    the photo groups of defective parts any picture is accepted (the order statistic of Wilks 1941,
    https://doi.org/10.1214/aoms/1177731788; its level is exact, from the binomial distribution).
    `reject_above` stays, unless the other is higher. Raises EvaluationError."""
    _check_share(asked)
    scores, groups = _of_kind(kept, policy, defective=True)
    lowest = _extreme(scores, groups)
    missing = max(0, parts_needed(asked) - len(lowest))
    if missing:
        return Promise(None, asked, len(lowest), missing, _too_few(lowest, missing, "defective"))
    k = most_above(len(lowest), asked)
    limit = _threshold(np.sort(lowest)[k])
    below = int((lowest < limit).sum())
    promised = most_stopped(len(lowest), k)
    words = (
        f"We are {100 * SURE:.0f} % sure that of at most {percent(promised)} of defective parts a "
        f"picture is accepted, as {below} of {counted(len(lowest), 'photo group')} of defective "
        f"parts here {'has' if below == 1 else 'have'} one below the threshold."
    )
    return Promise(_lower(policy, limit), asked, len(lowest), 0, words)


def conformal_band(
    kept: Kept, policy: Policy, escapes: float, overkills: float | None = None
) -> Promise:
    """The narrowest review band that keeps the expected share of escapes within `escapes` and,
    where that is given, of overkills within `overkills`: conformal risk control (Angelopoulos et
    al. 2022, https://arxiv.org/abs/2208.02814) with photo groups as what is exchangeable. The loss
    of a group, 0 to 1, is the share of its defective parts that are accepted (of its good parts
    that are rejected). Raises EvaluationError."""
    _check_share(escapes)
    low, groups, missing = _controlled(kept, policy, escapes, defective=True)
    if low is None:
        return Promise(None, escapes, groups, missing, _too_few_words(groups, missing, "defective"))
    words = (
        f"Of the defective parts of the next photo group, at most {percent(escapes)} are accepted "
        f"on average over many groups, learned from {counted(groups, 'photo group')}. It is an "
        "average: of some groups more are."
    )
    if overkills is None:
        return Promise(_lower(policy, low), escapes, groups, 0, words)
    _check_share(overkills)
    high, good, missing = _controlled(kept, policy, overkills, defective=False)
    if high is None:
        return Promise(None, overkills, good, missing, _too_few_words(good, missing, "good"))
    words += f" Of good parts at most {percent(overkills)} are rejected, in the same sense."
    if low > high:  # any threshold between them keeps both: nobody need look at a part
        low = high = (low + high) / 2
    return Promise(with_thresholds(policy, low, high), escapes, groups, 0, words)


def groups_for(asked: float) -> int:
    """How many photo groups `conformal_band` needs to promise the share `asked`."""
    return math.ceil(round(1 / asked, 9)) - 1


def _controlled(
    kept: Kept, policy: Policy, asked: float, *, defective: bool
) -> tuple[float | None, int, int]:
    """The threshold, the groups that it is from, and how many are missing."""
    scores, groups = _of_kind(kept, policy, defective=defective)
    # As if small scores were the error in both cases.
    if not defective:
        scores = -scores
    sizes = np.bincount(groups)
    count = len(sizes)
    if groups_for(asked) > count:
        return None, count, groups_for(asked) - count
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    # Risk of a threshold right above each score; a threshold on a score lets only those below by.
    risk = np.cumsum(1 / sizes[groups[order]])
    too_much = risk + 1 > asked * (count + 1) + 1e-9
    first = int(too_much.argmax()) if too_much.any() else len(ranked)
    limit = float(ranked[first]) if first < len(ranked) else math.inf
    if defective:
        return _threshold(limit), count, 0
    return _above(-limit), count, 0


def _of_kind(
    kept: Kept, policy: Policy, *, defective: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Scores and group numbers of the defective or of the good parts; a part that no threshold
    accepts (rejects) stands at the infinite end."""
    if not kept.line.can_accept:
        raise EvaluationError(
            f"line '{kept.line.name}' knows no good part, so it accepts none and nothing escapes"
        )
    may_accept, may_reject = movable(kept, policy)
    of = kept.defective == defective
    if defective:
        scores = np.where(may_accept, kept.scores, math.inf)[of]
    else:
        scores = np.where(may_reject, kept.scores, -math.inf)[of]
    groups = np.unique(kept.groups[of], return_inverse=True)[1]
    return scores, groups


def _extreme(scores: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """The lowest score of each group."""
    lowest = np.full(int(groups.max(initial=-1)) + 1, math.inf)
    np.minimum.at(lowest, groups, scores)
    return lowest


def _threshold(score: float) -> float:
    """`accept_below` that lets only scores below `score` by, in few digits."""
    return _down(min(OFF, max(0.0, float(score))))


def _above(score: float) -> float:
    """`reject_above` that rejects only scores above `score`, in few digits."""
    rest = min(OFF, max(0.0, 1 - score))
    found = 1 - _down(rest)
    return found if found > score else min(OFF, math.nextafter(score, math.inf))


def _down(value: float) -> float:
    """`value` with DIGITS digits, or a little less."""
    if value <= 0:
        return 0.0
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(value)))
    found = round(math.floor(value * scale) / scale, 15)
    return found if found <= value else value


def _lower(policy: Policy, accept_below: float) -> Policy:
    return with_thresholds(policy, accept_below, policy.reject_above)


def _check_share(asked: float) -> None:
    if not 0 < asked < 1:
        raise EvaluationError(f"a share of {asked}: give one between 0 and 1, such as 0.01")


def _too_few(lowest: NDArray[np.float64], missing: int, kind: str) -> str:
    return _too_few_words(len(lowest), missing, kind)


def _too_few_words(groups: int, missing: int, kind: str) -> str:
    return (
        f"Not enough groups to promise this: {counted(groups, 'photo group')} of {kind} parts "
        f"{'is' if groups == 1 else 'are'} here, {missing:,} more "
        f"{'is' if missing == 1 else 'are'} needed."
    )


def percent(share: float) -> str:
    """ "0.25 %"; never "100 %" of what is less than all."""
    texts = [f"{100 * share:.{digits}g}" for digits in range(3, 17)]
    said = next((text for text in texts if share < 1 and float(text) < 100), texts[0])
    return f"{said} %"
