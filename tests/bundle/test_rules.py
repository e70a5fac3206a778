"""A policy holds only rules that can be applied, and says them in words."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from defectvision.bundle.policy import Policy, Verdict, check_fits, in_words, regions_in_words
from defectvision.bundle.rules import Rule, Zone
from tests.stand_ins.bundles import LINES

TILES = LINES["magnetic-tile"]
TRIANGLE = ((0, 0), (1, 0), (0, 1))
RIM, BORE = Zone(name="rim", corners=TRIANGLE), Zone(name="bore", corners=TRIANGLE, ignored=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"rules": [{"then": "reject", "zone": "rim"}]}, "not drawn"),
        ({"rules": [{"then": "reject", "zone": "bore"}], "zones": [BORE]}, "ignored"),
        ({"rules": [{"then": "reject", "over": 2, "unit": "mm"}]}, "scale"),
        ({"score_decides": False}, "there is none"),
        ({"zones": [RIM, BORE.model_copy(update={"name": "rim"})]}, "two zones"),
        ({"zones": [{"name": "a", "corners": TRIANGLE[:2]}]}, "at least 3"),
        ({"zones": [{"name": " \n ", "corners": TRIANGLE}]}, "name"),
        (
            {"zones": [{"name": "a", "corners": ((0, 0), (2, 0), (0, 1))}]},
            "less than or equal to 1",
        ),
        ({"rules": [{"then": "accept"}]}, "'review' or 'reject'"),
        ({"rules": [{"then": "reject", "over": -1}]}, "greater than or equal to 0"),
        ({"rules": [{"then": "reject", "over": float("inf")}]}, "finite"),
        ({"rules": [{"then": "reject", "at_least": 0}]}, "greater than or equal to 1"),
        ({"rules": [{"then": "reject", "limit": 3}]}, "not permitted"),
    ],
)
def test_a_rule_that_could_never_hold_is_refused(content: dict, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Policy.model_validate(content)


@pytest.mark.parametrize(
    ("policy", "line", "outlined", "reason"),
    [
        (Policy(rules=(Rule(then="reject", class_name="scratch"),)), "magnetic-tile", ["crack"],
         "'scratch', which the bundle does not outline; it outlines crack"),
        (Policy(rules=(Rule(then="reject"),)), "casting", [], "outlines no regions"),
        (Policy(zones=(RIM,)), "casting", [], "outlines no regions"),
        (Policy(rules=(Rule(then="reject"),)), "neu-surface", ["scratches"], "cannot accept"),
    ],
)  # fmt: skip
def test_a_rule_that_the_bundle_cannot_follow_is_refused(policy, line, outlined, reason) -> None:
    with pytest.raises(ValueError, match=reason):
        check_fits(policy, LINES[line], outlined)


def test_rules_and_ignored_zones_are_said_with_the_policy() -> None:
    policy = Policy(
        mm_per_px=0.1,
        zones=(RIM, BORE),
        rules=(
            Rule(then="reject", class_name="crack", measure="length", over=2, unit="mm"),
            Rule(then="review", class_name="crack", measure="area", over=1.5, unit="mm"),
            Rule(then="reject", class_name="blowhole", at_least=4),
            Rule(then="reject", zone="rim"),
        ),
    )
    said = in_words(policy, TILES, ["crack", "blowhole"])
    assert said.endswith(
        "ignored: bore; reject: Crack longer than 2 mm; review: Crack larger than 1.5 mm²; "
        "reject: 4 or more Blowhole; reject: any defect in zone rim"
    )
    alone = policy.model_copy(update={"score_decides": False})
    assert in_words(alone, TILES, ["crack"]).startswith("the rules alone decide; ")
    assert regions_in_words(alone, TILES).startswith("the rules alone decide; ignored: bore; rej")
    assert regions_in_words(policy, TILES).startswith("ignored: bore; reject: Crack longer than")
    assert regions_in_words(Policy(), TILES) == ""


@pytest.mark.parametrize(
    ("score", "ruled", "both", "alone"),
    [
        (0.1, "accept", "accept", "accept"),
        (0.1, "review", "review", "review"),
        (0.1, "reject", "reject", "reject"),
        (0.5, "accept", "review", "accept"),
        (0.5, "reject", "reject", "reject"),
        (0.9, "accept", "reject", "accept"),
        (0.9, "review", "reject", "review"),
    ],
)
def test_the_stricter_counts_or_the_rules_alone(score, ruled, both, alone) -> None:
    policy = Policy(accept_below=0.3, reject_above=0.7, rules=(Rule(then="reject"),))
    assert policy.standing(score, Verdict(ruled)) == both
    rules_alone = policy.model_copy(update={"score_decides": False})
    assert rules_alone.standing(score, Verdict(ruled)) == alone
    assert policy.standing(score, None) == policy.zone(score)
