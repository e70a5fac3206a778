"""An evaluation as HTML and JSON: every kind of line, nothing that a name could do, no network."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from defectvision.bundle.policy import Policy
from defectvision.evaluation.consequences import Costs
from defectvision.evaluation.kept import EvaluationError, Failed, Kept
from defectvision.report.evaluation.content import content_of, report_json_of
from defectvision.report.evaluation.html import evaluation_html
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

POLICY = Policy(accept_below=0.3, reject_above=0.6)
HOSTILE = '<img src=x onerror=alert(1)>"&.png'


@pytest.mark.parametrize("line", LINES.values(), ids=lambda line: line.name)
@pytest.mark.parametrize("outlines", [False, True])
def test_every_line_has_a_report(line, outlines) -> None:
    kept = made_up(line, 300, 80, skill=0.8, outlines=outlines)
    content = content_of(kept, POLICY, Costs(100, 10, 1, 0.05))
    told = json.loads(json.dumps(report_json_of(content), allow_nan=False))
    assert told["images"] == 300 and len(told["classes"]) == len(line.classes)
    assert bool(told["masks"]) == bool(outlines and kept.about.mask_classes)
    counts = told["verdicts"]
    assert sum(sum(row.values()) for row in counts.values()) == 300
    assert len(told["escapes"]) == counts["defective"]["accept"]
    assert bool(told["promises"]) == line.can_accept == (told["consequence"]["cost"] is not None)
    page = evaluation_html(content)
    assert ("What can be promised" in page) == line.can_accept
    assert ("of these parts go to a person" in page) == line.can_accept
    assert ("From which length on" in page) == (outlines and len(kept.defects) > 0)


def test_no_name_does_anything_in_a_report() -> None:
    kept = made_up(LINES["casting"], 60, 20, skill=0.2)
    about = kept.about.model_copy(
        update={
            "data": HOSTILE,
            "line": kept.line.model_copy(
                update={
                    "title": HOSTILE,
                    "classes": tuple(
                        one.model_copy(update={"title": HOSTILE}) for one in kept.line.classes
                    ),
                }
            ),
            "failures": (Failed(name=HOSTILE, reason="x", remedy="y"),),
        }
    )
    images = kept.images.assign(path=HOSTILE, group=HOSTILE + kept.images["group"])
    page = evaluation_html(content_of(replace(kept, about=about, images=images), POLICY))
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<img" not in shown and shown.count("&lt;img") > 10
    # What charts are given is text of a script, in which no tag begins.
    assert "<img" not in page


def test_images_that_the_bundle_learned_from_do_not_count() -> None:
    kept = made_up(LINES["casting"], 90, 30)
    seen = np.where(np.arange(90) < 40, "near-copy", "no")
    some = replace(kept, images=kept.images.assign(seen=seen))
    content = content_of(some, POLICY)
    assert len(content.kept) == 50 and content.verdicts.counts.sum() == 50
    assert any(words.startswith("40 images of 90 left out") for words in content.warnings)
    everything = content_of(replace(kept, images=kept.images.assign(seen="same image")), POLICY)
    assert len(everything.kept) == 90 and "memory" in everything.warnings[0]


def test_few_groups_and_failures_are_said_first() -> None:
    kept = made_up(LINES["casting"], 12, 5)
    failed = (Failed(name="a", reason="b", remedy="c"),)
    about = kept.about.model_copy(update={"failures": failed})
    content = content_of(replace(kept, about=about), POLICY)
    assert any("too few for any interval" in words for words in content.warnings)
    assert any(words.startswith("1 image could not be used") for words in content.warnings)
    page = evaluation_html(content)
    assert page.index("1 image could not be used") < page.index("What becomes of the parts")


@pytest.mark.parametrize("good", [True, False])
def test_images_of_one_kind_have_a_report_without_curves(good) -> None:
    kept = made_up(LINES["casting"], 40)
    one: Kept = kept.take(kept.defective != good)
    content = content_of(one, POLICY, Costs(100, 10, 1, 0.05))
    assert content.roc.area is None and content.consequence.cost is None
    assert "Area under the curve" not in evaluation_html(content)
    json.dumps(report_json_of(content), allow_nan=False)


def test_a_policy_that_cannot_be_asked_is_refused() -> None:
    kept = made_up(LINES["magnetic-tile"], 20, outlines=True)
    rules = Policy.model_validate(
        {"smallest_region_px": 40, "rules": [{"then": "reject", "over": 3}]}
    )
    with pytest.raises(EvaluationError, match="Evaluate the images again"):
        content_of(kept, rules)
