"""What thresholds come to, and the thresholds of least cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.rules import Rule
from defectvision.evaluation.consequences import (
    Costs,
    clopper_pearson,
    consequence,
    least_cost,
    threshold_between,
)
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.metrics import judge, measure
from defectvision.evaluation.outcomes import verdicts
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

CASTING = LINES["casting"]
COSTS = Costs(escape=500, overkill=20, review=2, defect_rate=0.03)


def test_shares_and_intervals_are_those_that_evaluate_prints() -> None:
    kept, policy = made_up(CASTING, 500, 120, skill=0.8), Policy(accept_below=0.3, reject_above=0.6)
    found = consequence(kept, policy)
    judged = judge(
        kept.probabilities, kept.judged, kept.images["truth"].tolist(),
        kept.images["group"].tolist(), CASTING, policy,
    )  # fmt: skip
    wanted = measure(judged, kept.probabilities, CASTING)
    for name in ("escapes", "overkills", "reviews"):
        share = getattr(found, name)
        assert 0 < share.value < 1
        for bound in ("value", "low", "high"):
            assert getattr(share, bound) == pytest.approx(getattr(wanted[name], bound), abs=1e-5)


def test_no_escape_is_not_certainty() -> None:
    kept = made_up(CASTING, 200, 50)
    found = consequence(kept, Policy(accept_below=0.0, reject_above=0.0)).escapes
    groups = len(np.unique(kept.groups[kept.defective]))
    assert (found.count, found.value, found.low) == (0, 0.0, 0.0)
    assert found.high == pytest.approx(clopper_pearson(0, groups)[1])


def test_a_line_without_a_good_class_lets_nothing_escape() -> None:
    found = consequence(made_up(LINES["neu-surface"], 50), Policy(), COSTS)
    assert (found.escapes.of, found.escapes.value, found.cost) == (0, None, None)


def expected_cost(kept: Kept, policy: Policy, costs: Costs) -> float:
    """By its definition, per part."""
    said, bad, total = verdicts(kept, policy), kept.defective, 0.0
    for is_bad, rate in ((True, costs.defect_rate), (False, 1 - costs.defect_rate)):
        of = said[bad == is_bad]
        wrong = costs.escape * (of == 0).mean() if is_bad else costs.overkill * (of == 2).mean()
        total += rate * (wrong + costs.review * (of == 1).mean())
    return total


def test_cost_is_weighted_by_the_expected_defect_rate() -> None:
    kept = made_up(CASTING, 400, skill=0.7)
    policy = Policy(accept_below=0.4, reject_above=0.6)
    found = consequence(kept, policy, COSTS)
    assert found.cost.value == pytest.approx(1000 * expected_cost(kept, policy, COSTS))
    assert found.cost.low < found.cost.value < found.cost.high
    none = consequence(kept, Policy(accept_below=0.0, reject_above=1.0), COSTS)
    assert none.escapes.count == none.overkills.count == 0
    assert none.expected_escapes.high == pytest.approx(none.escapes.high * 30)
    assert none.cost.high > 2000 + 500 * none.expected_escapes.high > none.cost.value
    rare = consequence(kept, policy, Costs(500, 20, 2, 0.0))
    assert rare.expected_escapes.value == 0 and rare.expected_overkills.value > 0


@given(
    escape=st.floats(0, 1000), overkill=st.floats(0, 100), review=st.floats(0, 20),
    rate=st.floats(0.001, 0.9), seed=st.integers(0, 5), rules=st.booleans(),
)  # fmt: skip
def test_no_other_thresholds_cost_less(escape, overkill, review, rate, seed, rules) -> None:
    line = LINES["magnetic-tile"] if rules else CASTING
    policy = Policy(rules=(Rule(then="review", over=200),) if rules else ())
    kept = made_up(line, 40, seed=seed, skill=0.3, policy=policy, outlines=rules, unjudged=0.1)
    costs = Costs(escape, overkill, review, rate)
    best = least_cost(kept, policy, costs)
    assert best.rules == policy.rules
    cost = expected_cost(kept, best, costs)
    levels = np.concatenate([[0.0], np.sort(kept.scores) + 1e-9, [1.0]]).clip(0, 1)[::3]
    for i, low in enumerate(levels):
        for high in levels[i:]:
            other = policy.model_copy(update={"accept_below": low, "reject_above": high})
            assert cost <= expected_cost(kept, other, costs) + 1e-9


def test_costs_that_make_no_sense_and_images_that_cannot_tell_are_refused() -> None:
    with pytest.raises(EvaluationError, match="below 0"):
        Costs(-1, 0, 0, 0.1)
    with pytest.raises(EvaluationError, match="from 0 to 1"):
        Costs(1, 1, 1, 3)
    kept = made_up(CASTING, 30)
    with pytest.raises(EvaluationError, match="need good and defective parts"):
        least_cost(kept.take(kept.defective), Policy(), COSTS)
    alone = Policy(rules=(Rule(then="reject"),), score_decides=False)
    with pytest.raises(EvaluationError, match="thresholds change nothing"):
        least_cost(kept, alone, COSTS)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_threshold_lies_in_its_gap_with_few_digits(one, other) -> None:
    low, high = sorted([one, other])
    found = threshold_between(low, high)
    assert low < found <= high or low == high == found or (found == high)
    if high - low > 0.1:
        assert found == round(found, 2)
