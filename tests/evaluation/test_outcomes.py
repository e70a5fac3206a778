"""Verdicts and labels of all rows at once are those that the policy gives one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from defectvision.bundle import policy as policies
from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import STRICTNESS, Policy
from defectvision.bundle.rules import Rule, Zone
from defectvision.evaluation.kept import EvaluationError, Kept, joined
from defectvision.evaluation.outcomes import named, verdicts
from defectvision.inference.broken_rules import broken_rules, measured
from defectvision.inference.regions import Region
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

ZONES = tuple(
    Zone(name=name, corners=((0, 0), (1, 0), (1, corner)))
    for name, corner in (("rim", 0.2), ("bore", 0.4))
)
FIXED = Policy(zones=ZONES, mask_thresholds={"crack": 0.4})
EVALUATIONS = {
    name: made_up(line, 60, 20, policy=FIXED, outlines=bool(line.defect_names), unjudged=0.2)
    for name, line in LINES.items()
}
THRESHOLD = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))


@st.composite
def policies_of(draw: st.DrawFn, name: str) -> Policy:
    low, high = sorted([draw(THRESHOLD), draw(THRESHOLD)])
    line = LINES[name]
    rule = st.builds(
        Rule,
        then=st.sampled_from(["review", "reject"]),
        class_name=st.sampled_from([None, *line.defect_names, "nothing"]),
        measure=st.sampled_from(["area", "length", "width"]),
        over=st.sampled_from([0.0, 1.0, 2.0, 10.0, 100.0]),
        unit=st.sampled_from(["px", "mm"]),
        at_least=st.integers(1, 2),
        zone=st.sampled_from([None, "rim", "bore"]),
    )
    rules = tuple(draw(st.lists(rule, max_size=3))) if line.can_accept else ()
    return FIXED.model_copy(
        update={
            "accept_below": low,
            "reject_above": high,
            "rules": rules,
            "mm_per_px": 0.1,
            "score_decides": draw(st.booleans()) if rules else True,
            "class_thresholds": {line.defect_names[0]: draw(THRESHOLD)},
        }
    )


def one_by_one(kept: Kept, policy: Policy) -> list[tuple[str, frozenset[str]]]:
    """As `Judged` asks the policy."""
    line, found = kept.line, []
    for row, image in kept.images.iterrows():
        regions = [
            Region(
                r.class_name, r.area_px, r.length_px, r.width_px, 0, 0, 0, 0, 0, 0, r.probability,
                policy.mm_per_px, tuple(json.loads(r.zones)),
            )
            for r in kept.regions[kept.regions["image"] == row].itertuples()
        ]  # fmt: skip
        said = measured(broken_rules(regions, policy, kept.about.mask_classes), policy)
        score = None if np.isnan(image["score"]) else image["score"]
        values = dict(zip(line.class_names, kept.probabilities[row].tolist(), strict=True))
        verdict = policies.verdict(score, policy, judged=image["judged"], measured=said.verdict)
        standing = policy.standing(score, said.verdict)
        labels = policies.labels(values, standing, policy, line, said)
        found.append((verdict.value, frozenset(labels)))
    return found


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
def test_all_at_once_are_one_by_one(name: str, data: st.DataObject) -> None:
    kept, policy = EVALUATIONS[name], data.draw(policies_of(name))
    kept.remembered.clear()  # as of an evaluation that was just opened
    at_once = [STRICTNESS[code].value for code in verdicts(kept, policy)]
    labels = joined(named(kept, policy), kept.line)
    expected = one_by_one(kept, policy)
    assert at_once == [verdict for verdict, _ in expected]
    for text, (_, names) in zip(labels, expected, strict=True):
        assert text == join_labels(n for n in kept.line.class_names if n in names)


def test_a_part_whose_regions_are_lost_goes_to_review() -> None:
    kept = EVALUATIONS["magnetic-tile"]
    images = kept.images.assign(known=False, judged=True)
    lost = Kept(kept.about, images, kept.defects, kept.regions, kept.pixels)
    policy = FIXED.model_copy(
        update={"rules": (Rule(then="reject"),), "accept_below": 1.0, "reject_above": 1.0}
    )
    assert {STRICTNESS[code].value for code in verdicts(lost, policy)} == {"review"}


def test_rules_on_masks_that_are_cut_in_another_way_cannot_be_asked() -> None:
    policy = Policy(rules=(Rule(then="reject"),), smallest_region_px=9)
    with pytest.raises(EvaluationError, match="cuts in another way"):
        verdicts(EVALUATIONS["magnetic-tile"], policy)
    without = policy.model_copy(update={"rules": ()})
    assert len(verdicts(EVALUATIONS["magnetic-tile"], without)) == 60


def test_an_evaluation_comes_back_from_its_file() -> None:
    kept = EVALUATIONS["severstal-strip"]
    again = Kept.read(kept.as_bytes())
    assert again.about == kept.about
    for name in ("images", "defects", "regions", "pixels"):
        assert getattr(again, name).equals(getattr(kept, name)), name
    with pytest.raises(EvaluationError, match=r"damaged.*Evaluate the images again"):
        Kept.read(kept.as_bytes()[:-50])


def test_some_of_its_images_keep_their_own_rows() -> None:
    kept = EVALUATIONS["magnetic-tile"]
    rows = np.array([7, 3, 50])
    some = kept.take(rows)
    assert some.images["path"].tolist() == ["000007.png", "000003.png", "000050.png"]
    for place, row in enumerate(rows):
        areas = kept.regions.loc[kept.regions["image"] == row, "area_px"].tolist()
        assert some.regions.loc[some.regions["image"] == place, "area_px"].tolist() == areas
    assert len(some.pixels) == 3 * len(kept.line.defect_names)
