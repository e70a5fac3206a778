"""The card says why a verdict is what it is, in the policy's own words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.inference.gate import Objection
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.regions import Region
from defectvision.web.verdict_card import contradiction, headline, labels_in_words, reason
from tests.stand_ins.castings import CLEAR_DEFECT, casting

UNLIKE, DARK = Objection("unlike", "unlike this line"), Objection("quality", "too dark")


@pytest.fixture(scope="module")
def defect(inspector: Inspector) -> Inspection:
    return replace(inspector.inspect(casting(*CLEAR_DEFECT), "defect.png"), defect_score=0.6)


@pytest.mark.parametrize(
    ("policy", "changes", "words"),
    [
        (Policy(accept_below=0.7, reject_above=0.9), {}, "score 0.600, accepted below 0.7."),
        (Policy(accept_below=0.1, reject_above=0.6), {}, "score 0.600, rejected from 0.6 on."),
        (Policy(accept_below=0.1234, reject_above=0.9), {}, "between 0.1234 and 0.9."),
        (Policy(), {"defect_score": 0.4996}, "score 0.4996, accepted below 0.5."),
        (Policy(), {"defect_score": None}, "This line names defects and cannot accept a part."),
        (Policy(), {"objections": (UNLIKE, DARK)}, "is not what the model has learned to judge"),
        (Policy(), {"objections": (DARK,)}, "The picture is not good enough for a verdict"),
    ],
)
def test_the_reason_names_the_threshold_that_decided(defect, policy, changes, words) -> None:
    assert words in reason(replace(defect, **changes), policy)


@pytest.mark.parametrize(
    ("policy", "objections", "expected"),
    [
        (Policy(accept_below=0.1, reject_above=0.6), (), "Reject"),
        (Policy(accept_below=0.7, reject_above=0.9), (), "Accept"),
        (Policy(accept_below=0.1, reject_above=0.6), (UNLIKE,), "Unlike this line"),
        (Policy(accept_below=0.7, reject_above=0.9), (DARK,), "Too dark"),
        (Policy(), (UNLIKE, DARK), "Unlike this line; too dark"),
    ],
)
def test_the_headline_is_the_reason_where_there_is_no_verdict(
    defect, policy, objections, expected
) -> None:
    assert headline(replace(defect, objections=objections), policy) == expected


def test_a_label_stands_with_its_probability(defect: Inspection) -> None:
    words = labels_in_words(defect, Policy(accept_below=0.1, reject_above=0.2))
    assert words == f"**Defective**, probability {defect.probabilities['def']:.3f}."


def test_a_label_under_review_is_not_said_like_a_verdict(defect: Inspection) -> None:
    """A magnetic tile that was moved in the frame: good is the most probable of six classes."""
    probabilities = {"ok": 0.36, "def": 0.34}
    moved = replace(defect, probabilities=probabilities, defect_score=0.64)
    said = labels_in_words(moved, Policy(accept_below=0.3, reject_above=0.7))
    assert said == "Most probable of all classes: **Good**, 0.360."
    said = labels_in_words(moved, Policy(accept_below=0.1, reject_above=0.6))
    assert said == "**Defective**, probability 0.340."
    said = labels_in_words(moved, Policy(accept_below=0.7, reject_above=0.9))
    assert said == "**Good**, probability 0.360."


@pytest.mark.parametrize(
    ("verdict", "areas", "words"),
    [
        (Verdict.ACCEPT, [], ""),
        (Verdict.REJECT, [2412], ""),
        (Verdict.ACCEPT, [2412],
         "1 region is outlined all the same, the largest 2,412 px."),
        (Verdict.ACCEPT, [2412, 9],
         "2 regions are outlined all the same, the largest 2,412 px."),
    ],
)  # fmt: skip
def test_a_mask_that_contradicts_the_verdict_is_pointed_out(verdict, areas, words) -> None:
    regions = [Region("crack", area, *[1.0] * 4, *[1] * 4, 0.9) for area in areas]
    assert contradiction(verdict, regions) == words
