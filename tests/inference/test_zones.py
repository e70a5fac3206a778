"""Zones lie where they were drawn, move with the part, and nothing counts where one is ignored."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.rules import Rule, Zone
from defectvision.inference.broken_rules import broken_rules, measured
from defectvision.inference.frame import Frame
from defectvision.inference.heatmap import Heatmap
from defectvision.inference.regions import Region, cut_masks
from defectvision.inference.zones import corners_on_image, covered, shares_of_view
from tests.stand_ins.bundles import LINES

# The view is the middle 200 x 100 px of a picture of 300 x 200 px, seen at half the size.
FRAME = Frame((200, 300), (50, 100), np.array([[2.0, 0, 50.5], [0, 2.0, 50.5]]))
LEFT = Zone(name="left", corners=((0, 0), (0.5, 0), (0.5, 1), (0, 1)))


def test_a_zone_lies_where_it_was_drawn() -> None:
    drawn = [(60.0, 70.0), (200.0, 70.0), (130.0, 140.0)]
    zone = Zone(name="a", corners=shares_of_view(drawn, FRAME))
    assert corners_on_image(zone, FRAME) == pytest.approx(np.array(drawn), abs=0.01)


def test_corners_beside_the_view_are_moved_to_its_border() -> None:
    assert shares_of_view([(0, 0), (299, 100), (299, 199)], FRAME)[0] == [0, 0]
    assert shares_of_view([(0, 0), (299, 100), (299, 199)], FRAME)[2] == [1, 1]


def test_a_zone_moves_with_the_part() -> None:
    there = covered([LEFT], FRAME)
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    assert (columns[0], columns[-1], rows[0], rows[-1]) == pytest.approx((50, 150, 50, 150), abs=1)
    moved = Frame(
        FRAME.image_size, FRAME.input_size, FRAME.to_image + np.array([[0, 0, 30], [0, 0, 20]])
    )
    assert (covered([LEFT], moved)[70:150, 80:150]).all()
    assert not covered([LEFT], moved)[:69].any()


def grid() -> np.ndarray:
    """Two areas: one in the left half of the view, one that reaches from the left half over."""
    mask = np.zeros((25, 50), np.uint8)
    mask[3:6, 3:10] = 255
    mask[15:18, 20:40] = 255
    return mask


def test_regions_say_which_zones_they_reach_into() -> None:
    right = Zone(name="right", corners=((0.5, 0), (1, 0), (1, 1), (0.5, 1)))
    regions = cut_masks({"crack": grid()}, FRAME, Policy(zones=(LEFT, right))).regions
    assert [region.zones for region in regions] == [("left", "right"), ("left",)]
    assert regions[0].as_json()["zones"] == ["left", "right"]


def test_nothing_is_left_of_what_lies_in_an_ignored_zone() -> None:
    ignored = LEFT.model_copy(update={"ignored": True})
    whole = cut_masks({"crack": grid()}, FRAME, Policy()).regions
    left = cut_masks({"crack": grid()}, FRAME, Policy(zones=(ignored,))).regions
    assert len(whole) == 2 and len(left) == 1
    assert left[0].left_px >= 150 and left[0].length_px < whole[0].length_px
    assert left[0].zones == ()


def test_a_heatmap_has_no_colour_in_an_ignored_zone() -> None:
    values = np.full((5, 10), 0.05, np.float32)
    kept = Heatmap("exact", "crack", values, "signed", 0.05, ("a", "b"), "", "", (LEFT,))
    assert kept.colours(FRAME, 300)[100, 100, 3] > 0
    ignored = LEFT.model_copy(update={"ignored": True})
    hidden = Heatmap("exact", "crack", values, "signed", 0.05, ("a", "b"), "", "", (ignored,))
    drawn = hidden.colours(FRAME, 300)
    assert drawn[100, 100, 3] == 0 and drawn[100, 200, 3] > 0


def region(name: str, length: float, area: int = 50, zones: tuple[str, ...] = ()) -> Region:
    return Region(name, area, length, 4.0, 5, 5, 0, 0, 9, 9, 0.9, 0.5, zones)


@pytest.mark.parametrize(
    ("rule", "regions", "words"),
    [
        ({"class_name": "crack", "measure": "length", "over": 5, "unit": "mm"},
         [region("crack", 12), region("crack", 14)],
         "reject: Crack longer than 5 mm (7 mm)"),
        ({"class_name": "crack", "measure": "length", "over": 5, "unit": "mm"},
         [region("crack", 10), region("fray", 90)], ""),
        ({"measure": "area", "over": 12, "unit": "mm"}, [region("fray", 9)],
         "reject: any defect larger than 12 mm² (12.5 mm²)"),
        ({"class_name": "blowhole", "at_least": 3}, [region("blowhole", 2)] * 3,
         "reject: 3 or more Blowhole (3)"),
        ({"class_name": "blowhole", "at_least": 3}, [region("blowhole", 2)] * 2, ""),
        ({"zone": "rim"}, [region("crack", 2)], ""),
        ({"zone": "rim"}, [region("crack", 2, zones=("rim",))],
         "reject: any defect in zone rim (1)"),
        ({"class_name": "nick"}, [],
         "review: the bundle does not outline what a rule asks for (nick)"),
    ],
)  # fmt: skip
def test_a_broken_rule_says_what_was_measured(rule, regions, words) -> None:
    rim = Zone(name="rim", corners=((0, 0), (1, 0), (0, 1)))
    policy = Policy(mm_per_px=0.5, zones=(rim,), rules=(Rule(then="reject", **rule),))
    tiles = LINES["magnetic-tile"]
    broken = broken_rules(regions, policy, tiles.defect_names)
    assert [found.in_words(tiles) for found in broken] == ([words] if words else [])
    verdict = Verdict(words.split(":")[0]) if words else Verdict.ACCEPT
    assert measured(broken, policy).verdict == verdict


def test_the_strictest_broken_rule_decides_and_names_the_classes() -> None:
    policy = Policy(
        rules=(
            Rule(then="review", measure="length", over=1),
            Rule(then="reject", measure="length", over=20),
        )
    )
    found = [region("fray", 9, area=90), region("crack", 30, area=40)]
    said = measured(broken_rules(found, policy, ["fray", "crack"]), policy)
    assert (said.verdict, said.classes) == (Verdict.REJECT, ("crack",))
    assert measured(broken_rules(found[:1], policy, ["fray"]), policy).verdict == Verdict.REVIEW
