import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.policy import Policy
from defectvision.evaluation.calibration import expected_calibration_error, fit_temperature
from defectvision.evaluation.metrics import area_under, confusion, judge, measure
from defectvision.evaluation.operating_point import (
    choose_policy,
    review_band,
)

BLACK = "#000000"
CASTING = Line(
    name="casting",
    title="Casting",
    classes=(
        DefectClass(name="ok", title="Good", kind="ok", colour=BLACK),
        DefectClass(name="def", title="Defective", kind="defect", colour=BLACK),
    ),
    default_bundle="b",
)
STEEL = Line(
    name="steel",
    title="Steel",
    classes=tuple(
        DefectClass(name=n, title=n, kind="defect", colour=BLACK) for n in ("x", "y", "z")
    ),
    default_bundle="b",
)
STRIP = STEEL.model_copy(update={"label_mode": "multilabel"})
POLICY = Policy(accept_below=0.3, reject_above=0.7)


def _binary(scores):
    scores = np.array(scores)
    return np.stack([1 - scores, scores], axis=1)


@pytest.mark.slow
def test_known_answers_on_a_line_with_a_good_class():
    scores = [0.1, 0.2, 0.45, 0.9, 0.8, 0.95, 0.6, 0.05]
    truth = ["ok"] * 4 + ["def"] * 4
    groups = [str(i) for i in range(8)]
    probabilities = _binary(scores)
    judged = judge(probabilities, np.ones(8, bool), truth, groups, CASTING, POLICY)
    found = measure(judged, probabilities, CASTING)
    assert judged["verdict"].tolist() == [
        *("accept", "accept", "review", "reject"),
        *("reject", "reject", "review", "accept"),
    ]
    assert found["accuracy"].value == 6 / 8
    assert found["balanced_accuracy"].value == 0.75
    assert found["escapes"].value == 0.25
    assert found["overkills"].value == 0.25
    assert found["reviews"].value == 0.25
    # of the 16 pairs of a defective and a good part, these are in the wrong order:
    # 0.8 and 0.6 below 0.9; 0.05 below all four good ones
    assert found["auc"].value == pytest.approx(1 - 6 / 16)
    assert confusion(judged, CASTING) == {"ok": {"ok": 3, "def": 1}, "def": {"ok": 1, "def": 3}}


def test_of_what_was_never_seen_as_much_may_occur_as_so_few_parts_leave_open():
    probabilities = _binary([0.1, 0.1, 0.9, 0.9, 0.9, 0.9])
    groups = ["a", "b", "c", "c", "d", "e"]  # three defective parts, one of them in two pictures
    truth = ["ok"] * 2 + ["def"] * 4
    judged = judge(probabilities, np.ones(6, bool), truth, groups, CASTING, POLICY)
    found = measure(judged, probabilities, CASTING)
    escapes, overkills = found["escapes"], found["overkills"]
    assert (escapes.value, escapes.low) == (0, 0)
    assert escapes.high == pytest.approx(1 - 0.025 ** (1 / 3), abs=1e-4)
    assert overkills.high == pytest.approx(1 - 0.025 ** (1 / 2), abs=1e-4)


def test_what_is_always_right_is_no_more_certain_than_its_parts_are_many():
    truth, groups = ["x"] * 5 + ["y"] * 4 + ["z"] * 4, [*"aabcd", *"efgh", *"ijkk"]
    probabilities = np.eye(3)[[0] * 5 + [1] * 4 + [2] * 4]
    judged = judge(probabilities, np.ones(13, bool), truth, groups, STEEL, POLICY)
    found = measure(judged, probabilities, STEEL)
    for name, parts in (("accuracy", 11), ("balanced_accuracy", 3), ("macro_f1", 3), ("auc", 3)):
        assert (found[name].value, found[name].high) == (1, 1)
        assert found[name].low == pytest.approx(0.025 ** (1 / parts), abs=1e-4), name
    probabilities[9:] = 0
    judged = judge(probabilities, np.ones(13, bool), truth[:9] + [""] * 4, groups, STRIP, POLICY)
    found = measure(judged, probabilities, STRIP)
    assert found["auc"].low == pytest.approx(0.025 ** (1 / 3), abs=1e-4)  # three good parts
    assert found["auc/x"].low == pytest.approx(0.025 ** (1 / 4), abs=1e-4)
    assert found["auc/z"] is None


@pytest.mark.parametrize("line", [CASTING, STRIP], ids=["one label", "several"])
def test_good_parts_alone_bear_no_figure_that_calling_all_good_would_make_perfect(line):
    probabilities = _binary([0.1, 0.2, 0.45, 0.9])
    if line is STRIP:
        probabilities = np.stack([probabilities[:, 1]] * len(line.class_names), axis=1)
    good = line.good_names[0] if line.good_names else ""
    judged = judge(probabilities, np.ones(4, bool), [good] * 4, list("abcd"), line, POLICY)
    found = measure(judged, probabilities, line)
    known = {name: one.value for name, one in found.items() if one is not None}
    assert known == {"reviews": 0.25, "overkills": 0.25}


def test_foreign_parts_are_never_accepted():
    probabilities = _binary([0.01, 0.01])
    judged = judge(probabilities, np.array([True, False]), ["def"] * 2, ["a", "b"], CASTING, POLICY)
    assert judged["verdict"].tolist() == ["accept", "review"]


@pytest.mark.slow
def test_against_scikit_learn_on_several_classes():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(200, 3))
    truth = rng.integers(0, 3, 200)
    logits[np.arange(200), truth] += 1
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = np.array(STEEL.class_names)
    judged = judge(
        probabilities, np.ones(200, bool), names[truth].tolist(), list("ab" * 100), STEEL, POLICY
    )
    found = measure(judged, probabilities, STEEL)
    guess = probabilities.argmax(1)
    macro = f1_score(truth, guess, average="macro")
    assert found["macro_f1"].value == pytest.approx(macro, abs=1e-5)
    assert found["balanced_accuracy"].value == pytest.approx(
        balanced_accuracy_score(truth, guess), abs=1e-5
    )
    assert found["escapes"] is None
    assert found["overkills"] is None


@pytest.mark.slow
def test_interval_is_as_wide_as_the_groups_are_few():
    """200 images of 4 photographs say no more than 4 photographs."""
    rng = np.random.default_rng(0)
    right = np.repeat([True, True, True, False], 50)
    truth = ["ok", "def"] * 100
    scores = [0.0 if (t == "ok") == r else 1.0 for t, r in zip(truth, right, strict=True)]
    few = [str(i // 50) for i in range(200)]
    many = [str(i) for i in rng.permutation(200)]
    widths = []
    for groups in (few, many):
        judged = judge(_binary(scores), np.zeros(200), truth, groups, CASTING, POLICY)
        accuracy = measure(judged, _binary(scores), CASTING)["accuracy"]
        assert accuracy.value == 0.75
        assert accuracy.low <= 0.75 <= accuracy.high
        widths.append(accuracy.high - accuracy.low)
    assert widths[0] > 3 * widths[1]


def test_temperature_undoes_an_overconfident_scale():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.array([rng.choice(3, p=p) for p in probabilities])
    assert fit_temperature(logits * 3, targets) == pytest.approx(3, rel=0.1)
    hot = np.exp(logits * 3) / np.exp(logits * 3).sum(1, keepdims=True)
    assert expected_calibration_error(probabilities, targets) < 0.04
    assert expected_calibration_error(hot, targets) > 0.1


def test_policy_keeps_escapes_and_overkills_within_the_allowance():
    rng = np.random.default_rng(2)
    good = np.arange(1000) < 500
    scores = np.clip(np.where(good, 0.25, 0.75) + rng.normal(0, 0.12, 1000), 0, 1)
    policy = review_band(scores, good)
    assert (scores[~good] < policy.accept_below).mean() <= 0.0101
    assert (scores[good] >= policy.reject_above).mean() <= 0.0101
    assert policy.accept_below < 0.5 < policy.reject_above


def test_clean_scores_need_no_review_band():
    policy = review_band(np.array([0.01, 0.02, 0.97, 0.99]), np.array([True, True, False, False]))
    assert policy == Policy(accept_below=0.5, reject_above=0.5)


@pytest.mark.slow
def test_known_answers_on_a_multilabel_line():
    probabilities = np.array(
        [[0.9, 0.8, 0.1], [0.9, 0.1, 0.1], [0.1, 0.1, 0.1], [0.2, 0.1, 0.8], [0.4, 0.1, 0.1]]
    )
    truth = ["y|x", "x|z", "", "", "x"]
    judged = judge(probabilities, np.ones(5, bool), truth, list("abcde"), STRIP, POLICY)
    assert judged["truth"].tolist() == ["x|y", "x|z", "", "", "x"]
    assert judged["label"].tolist() == ["x|y", "x", "", "z", ""]
    assert judged["verdict"].tolist() == ["reject", "reject", "accept", "reject", "review"]
    found = measure(judged, probabilities, STRIP)
    assert found["accuracy"].value == pytest.approx(2 / 5)
    assert found["balanced_accuracy"].value == pytest.approx((1 / 2 + 2 / 3) / 2, abs=1e-5)
    # x: 2 of 2 right, 1 missed; y: right; z: one missed, one wrong
    assert found["macro_f1"].value == pytest.approx((4 / 5 + 1 + 0) / 3, abs=1e-5)
    assert found["overkills"].value == 0.5
    assert found["escapes"].value == 0.0
    # of 3 defective and 2 good parts one pair is in the wrong order: 0.4 below 0.8
    assert found["auc"].value == pytest.approx(5 / 6, abs=1e-5)
    assert found["auc/y"].value == 1.0


def test_a_multilabel_policy_takes_the_best_f1_of_each_class():
    probabilities = np.array([[0.9, 0.1, 0.2], [0.6, 0.3, 0.2], [0.2, 0.35, 0.2], [0.1, 0.1, 0.2]])
    targets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    policy = choose_policy(np.log(probabilities / (1 - probabilities)), targets, STRIP)
    assert policy.class_thresholds == {"x": 0.4, "y": 0.2, "z": 0.5}
    assert policy.accept_below <= 0.35


def test_a_temperature_of_sigmoids_undoes_their_scale():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(4000, 2)) * 2
    targets = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    assert fit_temperature(logits * 3, targets) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_of_every_draw_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positive, score = rng.random(80) < 0.3, rng.random(80).round(1)
    area, weights = area_under(positive, score), rng.integers(0, 3, 80).astype(float)
    wanted = roc_auc_score(positive, score, sample_weight=weights)
    assert area(weights) == pytest.approx(wanted, abs=1e-12)
    assert np.isnan(area(weights * positive)) and np.isnan(
        area_under(~positive & positive, score)(weights)
    )
