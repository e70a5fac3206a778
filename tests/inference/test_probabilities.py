"""Calibrated probabilities rise with what they were, and a policy moves along with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from defectvision.bundle import policy as policies
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import DEFECT_SCORE, Beta, Calibration, Curve, Isotonic
from defectvision.inference.probabilities import apply, calibrated, moved_policy
from tests.stand_ins.bundles import LINES

TILES, STRIPS = LINES["magnetic-tile"], LINES["severstal-strip"]
NEAR = 1e-6  # of a threshold: told apart by nobody, nor by floating point
SURE = 1e-12  # beyond which log-odds have ended
STRICTNESS = (Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT)

SLOPE = st.floats(0.05, 20)
BETAS = st.builds(Beta, a=SLOPE, b=SLOPE, c=st.floats(-10, 10))


@st.composite
def isotonic(draw: st.DrawFn) -> Isotonic:
    count = draw(st.integers(1, 6))
    steps = st.lists(st.floats(0.01, 5), min_size=count, max_size=count)
    before, after = (np.cumsum(draw(steps)) + draw(st.floats(-10, 5)) for _ in range(2))
    return Isotonic(before=tuple(before.tolist()), after=tuple(after.tolist()))


CURVES = BETAS | isotonic()
PARTS = st.lists(st.floats(0.001, 1), min_size=6, max_size=6)
THRESHOLD = st.floats(0.001, 0.999)


def of(curves: dict[str, Curve]) -> Calibration:
    return Calibration(curves=curves, fitted_on="made-up images", images=1, groups=1)


@given(CURVES, st.floats(-20, 20), st.floats(0.001, 5))
def test_a_curve_rises(curve: Curve, odds: float, step: float) -> None:
    low, high = apply(curve, np.array([odds, odds + step]))
    assert low < high


@given(CURVES, PARTS, PARTS, THRESHOLD, THRESHOLD)
def test_verdicts_and_the_order_of_parts_stay(curve, one, other, first, second) -> None:
    line, calibration = TILES, of({DEFECT_SCORE: curve})
    accept, reject = sorted((first, second))
    policy = Policy(accept_below=accept, reject_above=reject)
    moved = moved_policy(policy, calibration, line)
    before = np.array([one, other]) / np.sum([one, other], axis=1, keepdims=True)
    after = calibrated(before, calibration, line)
    assert after.sum(axis=1) == pytest.approx(1)
    scores = []
    for values in (before, after):
        named = [dict(zip(line.class_names, row.tolist(), strict=True)) for row in values]
        scores.append([policies.defect_score(row, line) for row in named])
    for was, now in zip(*scores, strict=True):
        assume(min(abs(was - accept), abs(was - reject)) > NEAR)
        if SURE < now < 1 - SURE:
            assert policy.zone(was) == moved.zone(now)
        else:  # where log-odds end all scores are one: never less cautious than before
            assert STRICTNESS.index(moved.zone(now)) >= STRICTNESS.index(policy.zone(was))
    assume(abs(scores[0][0] - scores[0][1]) > NEAR)
    assert (scores[0][0] < scores[0][1]) == (scores[1][0] < scores[1][1]) or (
        scores[1][0] == scores[1][1]  # both so sure that no number lies between them
    )
    order = before[:, 1:].argsort(axis=1)  # two that are next to each other may become one number
    assert (np.diff(np.take_along_axis(after[:, 1:], order, axis=1), axis=1) >= 0).all()


@given(st.dictionaries(st.sampled_from(STRIPS.class_names), CURVES, min_size=1), PARTS, PARTS)
def test_on_a_multilabel_line_each_class_keeps_its_labels(curves, values, levels) -> None:
    calibration, names = of(curves), STRIPS.class_names
    before = np.array(values[: len(names)]) * 0.998
    thresholds = dict(zip(names, (0.998 * level for level in levels), strict=False))
    assume(all(abs(v - t) > NEAR for v, t in zip(before, thresholds.values(), strict=True)))
    policy = Policy(accept_below=0.2, reject_above=0.9, class_thresholds=thresholds)
    moved = moved_policy(policy, calibration, STRIPS)
    after = calibrated(before, calibration, STRIPS)
    for name, was, now in zip(names, before, after, strict=True):
        named = now >= moved.class_threshold(name)
        if SURE < now < 1 - SURE:
            assert named == (was >= policy.class_threshold(name))
        else:
            assert named or was < policy.class_threshold(name)
    assert (moved.accept_below, moved.reject_above) == (0.2, 0.9)


@given(CURVES, THRESHOLD, THRESHOLD)
def test_a_policy_comes_back(curve, first, second) -> None:
    accept, reject = sorted((first, second))
    policy, calibration = (
        Policy(accept_below=accept, reject_above=reject),
        of({DEFECT_SCORE: curve}),
    )
    moved = moved_policy(policy, calibration, TILES)
    assume(moved.accept_below > 1e-9 and moved.reject_above < 1 - 1e-9)
    back = moved_policy(moved, calibration, TILES, back=True)
    assert back.accept_below == pytest.approx(accept, abs=1e-4)
    assert back.reject_above == pytest.approx(reject, abs=1e-4)


def test_thresholds_that_take_all_or_none_stay() -> None:
    policy, curve = Policy(accept_below=0, reject_above=1), Beta(a=2, b=1, c=1)
    assert moved_policy(policy, of({DEFECT_SCORE: curve}), TILES) == policy


@pytest.mark.parametrize(
    ("before", "after"), [((0.0, 1.0), (1.0, 1.0)), ((1.0, 0.0), (0.0, 1.0)), ((0.0,), (0.0, 1.0))]
)
def test_a_curve_that_does_not_rise_is_refused(before, after) -> None:
    with pytest.raises(ValidationError, match="do not rise"):
        Isotonic(before=before, after=after)
