"""Rows of judged images say what the policy says, whichever page shows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from defectvision.bundle.policy import Policy
from defectvision.inference.gate import Objection
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.regions import Region
from defectvision.web.judged_table import Row, cells, hidden_columns, largest_area, score_column
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import CLEAR_DEFECT, casting

REGION = Region("crack", 40, 10.0, 4.0, 5.0, 5.0, 0, 0, 10, 4, 0.9)


@pytest.fixture(scope="module")
def defect(inspector: Inspector) -> Inspection:
    return inspector.inspect(casting(*CLEAR_DEFECT), "defect.png")


@pytest.mark.parametrize(
    ("policy", "verdict", "label"),
    [
        (Policy(accept_below=0.3, reject_above=0.7), "✕ Reject", "Defective"),
        (Policy(accept_below=0.3, reject_above=1.0), "? Review", "Defective"),
        (Policy(accept_below=1.0, reject_above=1.0), "✓ Accept", "Good"),
    ],
)
def test_a_row_follows_the_policy(defect: Inspection, policy, verdict, label) -> None:
    row = cells(Row(defect.name, defect), policy)
    assert (row["verdict"], row["label"]) == ([verdict], label)
    name = "def" if label == "Defective" else "ok"
    assert row["probability"] == defect.probabilities[name]
    assert row["score"] == defect.defect_score
    assert row["picture"] is None and row["note"] == ""


def test_the_column_of_scores_agrees_with_that_of_verdicts(defect: Inspection) -> None:
    rows = [Row("a", replace(defect, defect_score=score)) for score in (0.1, 0.29996)]
    scores = [row.judged.defect_score for row in rows if row.judged]
    column = score_column(scores, Policy())
    assert column["type_config"]["format"] == "%.3f"
    column = score_column(scores, Policy(accept_below=0.3))
    assert column["type_config"]["format"] == "%.5f"


def test_a_file_that_was_not_inspected_says_why(defect: Inspection) -> None:
    error = ImageError("broken.png", "damaged", "Copy it again.")
    row = cells(Row("broken.png", None, error), Policy())
    assert row["verdict"] == ["– Not inspected"]
    assert row["note"] == "damaged. Copy it again."
    assert row["label"] == "" and row["probability"] is row["score"] is row["regions"] is None


def test_what_must_be_known_stands_in_the_note(defect: Inspection) -> None:
    unlike = replace(defect, objections=(Objection("unlike", "unlike this line"),))
    row = Row("a.png", unlike, synthetic=True, others=("the same file as another",))
    assert cells(row, Policy())["note"] == (
        "Unlike this line, synthetic sample, the same file as another"
    )


@pytest.mark.parametrize(
    ("regions", "expected"),
    [((), None), ((REGION,), 40), ((replace(REGION, mm_per_px=0.5), REGION), 10.0)],
)
def test_the_largest_region_is_measured_in_mm_where_the_scale_is_known(regions, expected) -> None:
    assert largest_area(regions) == expected


def test_thumbnails_are_pictures_in_the_page_itself(defect: Inspection) -> None:
    row = cells(Row("a.png", defect, thumbnail=b"\xff\xd8"), Policy())
    assert row["picture"] == "data:image/jpeg;base64,/9g="


@pytest.mark.parametrize(
    ("line", "masks", "reviewed", "hidden"),
    [
        ("casting", (), True, {"regions", "largest"}),
        ("neu-surface", (), False, {"score", "regions", "largest", "reviews"}),
        ("severstal-strip", ("3",), False, {"reviews"}),
    ],
)
def test_columns_that_say_nothing_are_hidden(line, masks, reviewed, hidden) -> None:
    assert hidden_columns(LINES[line], masks, reviewed) == hidden
