import pytest
from pydantic import ValidationError

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.policy import (
    Policy,
    Verdict,
    beside_thresholds,
    decimals_beside,
    defect_score,
    in_words,
    label,
    labels,
    verdict,
)
from tests.stand_ins.bundles import LINES


def _line(kinds, mode="multiclass"):
    classes = [
        DefectClass(name=n, title=n, kind=k, colour="#000000")
        for n, k in zip("abc", kinds, strict=False)
    ]
    return Line(
        name="line", title="Line", classes=tuple(classes), label_mode=mode, default_bundle="b"
    )


GRADED = _line(["ok", "defect", "defect"])
NAMES_ONLY = _line(["defect", "defect"])
SEVERAL = _line(["defect"] * 3, "multilabel")
POLICY = Policy(accept_below=0.3, reject_above=0.7)


@pytest.mark.parametrize(
    ("score", "judged", "wanted"),
    [
        (0.0, True, Verdict.ACCEPT),
        (0.2999, True, Verdict.ACCEPT),
        (0.3, True, Verdict.REVIEW),
        (0.6999, True, Verdict.REVIEW),
        (0.7, True, Verdict.REJECT),
        (1.0, True, Verdict.REJECT),
        (0.0, False, Verdict.REVIEW),
        (1.0, False, Verdict.REVIEW),
        (None, True, Verdict.REJECT),
        (None, False, Verdict.REVIEW),
    ],
)
def test_verdict(score, judged, wanted):
    assert verdict(score, POLICY, judged=judged) is wanted


@pytest.mark.parametrize(
    ("probabilities", "wanted"),
    [
        ({"a": 0.8, "b": 0.15, "c": 0.05}, "a"),
        ({"a": 0.45, "b": 0.35, "c": 0.2}, "a"),  # review: the most probable of all
        ({"a": 0.28, "b": 0.36, "c": 0.36}, "b"),  # reject: never the good class
        ({"a": 0.3, "b": 0.3, "c": 0.4}, "c"),
    ],
)
def test_label_follows_the_policy(probabilities, wanted):
    score = defect_score(probabilities, GRADED)
    assert label(probabilities, POLICY.zone(score), GRADED) == wanted


def test_moving_the_threshold_moves_label_and_verdict_together():
    probabilities = {"a": 0.4, "b": 0.6, "c": 0.0}
    lenient = Policy(accept_below=0.65, reject_above=0.9)
    score = defect_score(probabilities, GRADED)
    assert verdict(score, lenient, judged=True) is Verdict.ACCEPT
    assert label(probabilities, lenient.zone(score), GRADED) == "a"


def test_a_line_without_a_good_class_has_no_score():
    assert defect_score({"a": 0.5, "b": 0.5}, NAMES_ONLY) is None
    assert label({"a": 0.4, "b": 0.6}, None, NAMES_ONLY) == "b"


@pytest.mark.parametrize(
    ("probabilities", "thresholds", "said", "wanted"),
    [
        ((0.9, 0.8, 0.1), {}, "reject", ("a", "b")),
        ((0.8, 0.9, 0.1), {}, "reject", ("b", "a")),
        ((0.8, 0.9, 0.1), {"a": 0.85}, "reject", ("b",)),
        ((0.9, 0.1, 0.2), {"a": 0.95}, "reject", ("a",)),  # rejected: its likeliest defect
        ((0.2, 0.6, 0.1), {}, "review", ("b",)),
        ((0.2, 0.4, 0.1), {}, "review", ()),
        ((0.2, 0.1, 0.1), {"a": 0.1}, "accept", ()),  # accepted: no defect
        ((0.0, 0.0, 0.0), {"a": 0.0}, "accept", ()),
    ],
)
def test_a_part_has_several_labels_or_none(probabilities, thresholds, said, wanted):
    policy = Policy(accept_below=0.3, reject_above=0.7, class_thresholds=thresholds)
    named = dict(zip("abc", probabilities, strict=True))
    score = defect_score(named, SEVERAL)
    assert score == max(probabilities)
    assert verdict(score, policy, judged=True) == said
    assert labels(named, policy.zone(score), policy, SEVERAL) == wanted


def test_a_multiclass_part_has_one_label():
    named = {"a": 0.8, "b": 0.15, "c": 0.05}
    policy = Policy(class_thresholds={"b": 0})
    assert labels(named, policy.zone(defect_score(named, GRADED)), policy, GRADED) == ("a",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"class_thresholds": {"a": 1.2}},
        {"mask_thresholds": {"a": -0.1}},
        {"smallest_region_px": -1},
        {"mm_per_px": 0},
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValidationError):
        Policy(**wrong)


@pytest.mark.parametrize(("low", "high"), [(0.8, 0.2), (-0.1, 0.5), (0.5, 1.1)])
def test_impossible_thresholds_are_refused(low, high):
    with pytest.raises(ValidationError):
        Policy(accept_below=low, reject_above=high)


@pytest.mark.parametrize(
    ("policy", "line", "masks", "expected"),
    [
        (Policy(accept_below=0.3, reject_above=0.7), "casting", (),
         "accept below 0.3, reject from 0.7"),
        (Policy(), "neu-surface", (), "names defects and cannot accept a part"),
        (
            Policy(accept_below=0.1234, class_thresholds={"2": 0.4}, smallest_region_px=9,
                   mm_per_px=0.25),
            "severstal-strip",
            ("3",),
            "accept below 0.1234, reject from 0.5; classes named from 1 0.5, 2 0.4, 3 0.5, 4 0.5; "
            "masks from 3 0.5; regions from 9 px; 0.25 mm per px",
        ),
    ],
)  # fmt: skip
def test_the_policy_is_said_in_the_same_words_everywhere(policy, line, masks, expected) -> None:
    assert in_words(policy, LINES[line], masks) == expected


@pytest.mark.parametrize("name", ["accept_below", "reject_above"])
def test_the_zones_hold_the_verdicts_that_scores_in_them_get(name) -> None:
    policy = Policy(**{"accept_below": 0.25, "reject_above": 0.75, name: 0.5})
    for low, high, expected in policy.bands:
        for score in (low, (low + high) / 2):
            assert verdict(score, policy, judged=True) == expected
    assert [z[0] for z in policy.bands[1:]] == [z[1] for z in policy.bands[:-1]]


@pytest.mark.parametrize(
    ("score", "accept_below", "reject_above", "said"),
    [
        (0.4996, 0.5, 0.9, ("0.4996", "0.5", "0.9")),
        (0.5, 0.5, 0.9, ("0.500", "0.5", "0.9")),
        (0.89996, 0.5, 0.9, ("0.89996", "0.5", "0.9")),
        (0.50002, 0.50004, 0.9, ("0.5000", "0.50004", "0.9")),
        (0.12, 0.09739130897618668, 0.7204871218703187, ("0.120", "0.09739", "0.7205")),
        (0.3, 0.3, 0.3, ("0.300", "0.3", "0.3")),
        (0.7204871218703187, 0.5, 0.7204871218703187, ("0.7205", "0.5", "0.7205")),
    ],
)
def test_a_score_is_never_said_as_if_it_lay_beyond_a_threshold(
    score, accept_below, reject_above, said
) -> None:
    policy = Policy(accept_below=accept_below, reject_above=reject_above)
    assert beside_thresholds(score, policy) == said
    shown, low, high = map(float, said)
    as_said = Policy(accept_below=low, reject_above=high)
    assert as_said.zone(shown) == policy.zone(score)
    assert decimals_beside([0.1, score, None], policy) == len(said[0]) - 2


@pytest.mark.parametrize(
    ("score", "accept_below", "reject_above", "said", "decimals"),
    [
        (3e-20, 0.0, 1.0, ("3e-20", "0", "1"), 3),
        (3e-20, 0.0, 0.7, ("3e-20", "0", "0.7"), 3),
        (0.49999999, 0.5, 0.7, ("0.49999999", "0.5", "0.7"), 6),
        (1 - 1e-9, 0.5, 1.0, ("0.999999999", "0.5", "1"), 6),
        (0.7 - 1e-16, 0.5, 0.7, ("0.6999999999999998", "0.5", "0.7"), 6),
        (0.3, 0.1 + 0.2, 0.7, ("0.3", "0.30000000000000004", "0.7"), 3),
    ],
)
def test_a_score_right_beside_a_threshold_takes_few_digits(
    score, accept_below, reject_above, said, decimals
) -> None:
    policy = Policy(accept_below=accept_below, reject_above=reject_above)
    assert beside_thresholds(score, policy) == said
    as_said = Policy(accept_below=float(said[1]), reject_above=float(said[2]))
    assert as_said.zone(float(said[0])) == policy.zone(score)
    assert decimals_beside([0.1, score, None], policy) == decimals


def test_equal_thresholds_leave_no_zone_of_review() -> None:
    assert [zone[2] for zone in Policy().bands] == [Verdict.ACCEPT, Verdict.REJECT]
    assert [zone[2] for zone in Policy(accept_below=0, reject_above=0).bands] == [Verdict.REJECT]
