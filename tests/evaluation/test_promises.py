"""Thresholds keep what they promise, and say where they cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.rules import Rule
from defectvision.data.resampling import clopper_pearson
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.outcomes import verdicts
from defectvision.evaluation.promise import SURE, most_above, most_stopped, parts_needed
from defectvision.evaluation.promises import conformal_band, groups_for, most_escapes, percent
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

CASTING = LINES["casting"]
WHOLE = made_up(CASTING, 12_000, 4_000, skill=0.8, seed=7)


def losses(kept: Kept, policy: Policy, *, defective: bool) -> np.ndarray:
    """Of each photo group that has such parts, the share of them that the wrong verdict meets."""
    said, of = verdicts(kept, policy), kept.defective == defective
    wrong = (said == 0) if defective else (said == 2)
    groups = kept.groups[of]
    sizes, bad = np.bincount(groups), np.bincount(groups, wrong[of])
    return bad[sizes > 0] / sizes[sizes > 0]


@pytest.mark.parametrize("groups", [3, 50, 400])
@pytest.mark.parametrize("asked", [0.01, 0.05, 0.3])
def test_the_band_is_as_narrow_as_its_guarantee_allows(groups, asked) -> None:
    kept = made_up(CASTING, 3 * groups, groups, seed=groups, skill=0.8)
    found = conformal_band(kept, Policy(), asked)
    of_defects = losses(kept, Policy(), defective=True)
    assert found.groups == len(of_defects)
    if found.policy is None:
        assert found.missing == math.ceil(1 / asked) - 1 - len(of_defects) > 0
        assert f"{found.missing} more" in found.words
        return
    within = (losses(kept, found.policy, defective=True).sum() + 1) / (found.groups + 1)
    assert within <= asked + 1e-9
    wider = found.policy.model_copy(
        update={"accept_below": min(1.0, found.policy.accept_below * 1.002 + 1e-6)}
    )
    scores = kept.scores[kept.defective & kept.judged]
    if (scores > wider.accept_below).any() and (scores < wider.accept_below).any():
        nearest = scores[scores >= found.policy.accept_below].min()
        over = found.policy.model_copy(
            update={"accept_below": np.nextafter(nearest, 2), "reject_above": 1.0}
        )
        assert (losses(kept, over, defective=True).sum() + 1) / (found.groups + 1) > asked


def test_both_sides_of_the_band_are_kept() -> None:
    kept = made_up(CASTING, 2000, 700, skill=0.5)
    found = conformal_band(kept, Policy(), 0.02, 0.03)
    policy = found.policy
    assert policy.accept_below < policy.reject_above
    for defective, asked in ((True, 0.02), (False, 0.03)):
        loss = losses(kept, policy, defective=defective)
        assert 0.5 * asked < (loss.sum() + 1) / (len(loss) + 1) <= asked
    easy = conformal_band(kept, Policy(), 0.3, 0.3).policy
    assert easy.accept_below == easy.reject_above, "nobody need look at a part"


def test_the_sure_promise_is_the_largest_that_the_binomial_allows() -> None:
    kept = made_up(CASTING, 3000, 1000, skill=0.8)
    found = most_escapes(kept, Policy(), 0.02)
    hit = (losses(kept, found.policy, defective=True) > 0).sum()
    assert hit == most_above(found.groups, 0.02)
    assert clopper_pearson(hit, found.groups, 2 * SURE - 1)[1] <= 0.02
    assert clopper_pearson(hit + 1, found.groups, 2 * SURE - 1)[1] > 0.02


@given(st.integers(1, 2000), st.floats(0.001, 0.5))
def test_how_many_may_be_above_and_how_many_it_takes(parts, asked) -> None:
    above = most_above(parts, asked)
    assert most_stopped(parts, above + 1) > asked
    if above:
        assert most_stopped(parts, above) <= asked
    assert most_stopped(parts_needed(asked), 0) <= asked + 1e-9
    assert 1 / (groups_for(asked) + 1) <= asked + 1e-9 and 1 / groups_for(asked) > asked - 1e-9


def test_promises_hold_for_groups_that_set_no_threshold() -> None:
    """In half of the groups, of thresholds that the other half set: the average within what is
    promised on average, and the sure promise broken in about 5 % of the splits, not in more than
    chance allows."""
    rng, groups = np.random.default_rng(3), int(WHOLE.groups.max()) + 1
    averages, broken, splits = [], 0, 60
    for _ in range(splits):
        chosen = np.isin(WHOLE.groups, rng.permutation(groups)[:400])
        some, others = WHOLE.take(chosen), WHOLE.take(~chosen)
        on_average = conformal_band(some, Policy(), 0.03).policy
        averages.append(losses(others, on_average, defective=True).mean())
        sure = most_escapes(some, Policy(), 0.03).policy
        broken += (losses(others, sure, defective=True) > 0).mean() > 0.03
    error = np.std(averages) / np.sqrt(splits)
    assert 0.015 < np.mean(averages) <= 0.03 + 2 * error
    assert clopper_pearson(broken, splits)[0] <= 1 - SURE


def test_too_few_groups_promise_nothing_and_say_how_many_are_missing() -> None:
    kept = made_up(CASTING, 40, 12)
    found = most_escapes(kept, Policy(), 0.01)
    assert found.policy is None and found.missing == 299 - found.groups
    assert found.words == (
        f"Not enough groups to promise this: {found.groups} photo groups of defective parts are "
        f"here, {found.missing} more are needed."
    )


def test_parts_that_cannot_be_accepted_count_as_safe() -> None:
    kept = made_up(CASTING, 900, skill=0.5, unjudged=0.5)
    policy = conformal_band(kept, Policy(), 0.02).policy
    judged = conformal_band(kept.take(kept.judged), Policy(), 0.02).policy
    assert policy.accept_below > judged.accept_below
    safe = made_up(CASTING, 300, skill=0.5, unjudged=1.0)
    assert most_escapes(safe, Policy(), 0.05).policy.accept_below == 1.0


def test_questions_that_have_no_answer_are_refused() -> None:
    kept = made_up(CASTING, 30)
    for asked in (0.0, 1.0, -1):
        with pytest.raises(EvaluationError, match="between 0 and 1"):
            most_escapes(kept, Policy(), asked)
    with pytest.raises(EvaluationError, match="nothing escapes"):
        conformal_band(made_up(LINES["neu-surface"], 30), Policy(), 0.1)
    alone = Policy(rules=(Rule(then="reject"),), score_decides=False)
    with pytest.raises(EvaluationError, match="thresholds change nothing"):
        conformal_band(kept, alone, 0.1)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0025, "0.25 %"), (0.99996, "99.996 %"), (1.0, "100 %"), (0.0, "0 %"), (1e-5, "0.001 %")],
)
def test_what_is_less_than_all_is_not_said_to_be_all(share, words) -> None:
    assert percent(share) == words
