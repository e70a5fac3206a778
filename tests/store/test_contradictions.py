"""A decision that contradicts itself is not kept, and no rejected part is learned as a good one."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.policy import Policy
from defectvision.data.image_set import open_set
from defectvision.data.statistics import good_classes
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.report.labelled_set import labelled_zip, reviewed_images
from defectvision.store import reviews
from defectvision.store.database import Store
from defectvision.store.decisions import label_to_keep, settle
from defectvision.store.errors import ContradictionError
from defectvision.store.results import Results
from defectvision.store.tables import InspectionRow, ReviewRow, now
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import casting
from tests.stand_ins.stores import fill, new_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.mark.parametrize(
    ("line", "decision", "label", "words"),
    [
        ("casting", "reject", "ok", "cannot be rejected as 'ok'"),
        ("casting", "reject", "def|ok", "cannot be rejected as 'ok'"),
        ("casting", "accept", "def", "cannot be accepted as 'def'"),
        ("casting", "unusable", "def", "cannot be called unusable as 'def'"),
        ("casting", "reject", "pit", "has no class 'pit'"),
        ("severstal-strip", "reject", "", "needs its defect"),
        ("severstal-strip", "reject", "|", "needs its defect"),
        ("severstal-strip", "accept", "3", "cannot be accepted as '3'"),
        ("magnetic-tile", "reject", "", "name blowhole or break or crack"),
        ("magnetic-tile", "reject", "free", "cannot be rejected as 'free'"),
        ("magnetic-tile", "reject", "break|crack", "has one class"),
        ("neu-surface", "accept", "", "knows no good part"),
        ("neu-surface", "reject", "", "needs its defect"),
    ],
)
def test_what_contradicts_itself_is_refused(store, line, decision, label, words) -> None:
    fill(store, LINES[line], 1)
    with pytest.raises(ContradictionError, match=words.replace("|", r"\|")), store.session() as s:
        reviews.decide(s, 1, unproven("ada"), decision, Policy(), label)
    with store.reading() as session:
        assert reviews.trail(session, 1) == []
        assert session.get_one(InspectionRow, 1).decision == ""


@pytest.mark.parametrize(
    ("line", "decision", "label", "kept"),
    [
        ("casting", "reject", "", "def"),
        ("casting", "reject", "def", "def"),
        ("casting", "accept", "ok", "ok"),
        ("casting", "accept", "", ""),
        ("casting", "unusable", "", ""),
        ("severstal-strip", "reject", "3|1|3", "1|3"),
        ("severstal-strip", "accept", "", ""),
        ("neu-surface", "reject", "patches", "patches"),
        ("neu-surface", "unusable", "", ""),
    ],
)
def test_what_makes_sense_is_kept_with_its_class(store, line, decision, label, kept) -> None:
    fill(store, LINES[line], 1)
    with store.session() as session:
        assert reviews.decide(session, 1, unproven("ada"), decision, Policy(), label).label == kept


def reviewed_set(store: Store, batch: int, folder: Path) -> dict[str, str]:
    """What `train` reads of the labelled set: the class of each image, "" for good."""
    with zipfile.ZipFile(
        io.BytesIO(labelled_zip(reviewed_images(Results.open(store, batch))))
    ) as z:
        z.extractall(folder)
    catalog = open_set(folder, PIXELS).catalog
    good = good_classes(catalog)
    return {
        path: "" if label in good else label
        for path, label in zip(catalog.table["path"], catalog.table["label"], strict=True)
    }


def kept_pictures(store: Store, batch: int) -> None:
    with store.session() as session:
        for number in range(1, 7):
            row = session.get_one(InspectionRow, number)
            row.digest = store.files.put(casting("def" if number % 2 else "ok", number))
            row.stored = True


def old_review(session, number: int, decision: str, label: str) -> None:
    """As an earlier version kept it, without a look at the label."""
    session.add(
        ReviewRow(
            inspection_id=number,
            who="ada",
            at=now(),
            decision=decision,
            label=label,
            why="",
            policy=Policy().model_dump(mode="json"),
            model_verdict="reject",
            settles=False,
        )
    )
    session.flush()
    settle(session, number)


@pytest.mark.parametrize("line", ["casting", "severstal-strip"])
def test_no_rejected_part_leaves_as_good(store, tmp_path, line: str) -> None:
    batch = fill(store, LINES[line], 6)
    defect = LINES[line].defect_names[0]
    kept_pictures(store, batch)
    with store.session() as session:
        old_review(session, 1, "reject", "")
        old_review(session, 2, "reject", "ok" if line == "casting" else "|")
        reviews.decide(session, 3, unproven("ada"), "reject", Policy(), defect)
        reviews.decide(session, 4, unproven("ada"), "accept", Policy())
        reviews.decide(session, 5, unproven("ada"), "accept", Policy())
        reviews.decide(session, 6, unproven("ada"), "reject", Policy(), defect)
        twin = session.get_one(InspectionRow, 5)  # the same file as the rejected sixth
        twin.digest = session.get_one(InspectionRow, 6).digest
    found = reviewed_set(store, batch, tmp_path / "set")
    assert found == {"images/part_000002.png": defect, "images/part_000003.png": ""}


def test_who_names_another_defect_is_learned_from_with_the_last_word(store, tmp_path) -> None:
    """The page counts the part by the last word, and says that only what reviewers disagree about
    is left out."""
    batch = fill(store, LINES["severstal-strip"], 6)
    kept_pictures(store, batch)
    with store.session() as session:
        said = ((1, "ada", "1"), (1, "ada", "3"), (2, "ada", "1"), (2, "bo", "3"))
        for number, who, label in said:
            reviews.decide(session, number, unproven(who), "reject", Policy(), label)
        reviews.decide(session, 3, unproven("ada"), "accept", Policy())
        reviews.decide(session, 3, unproven("ada"), "reject", Policy(), "4")
    found = reviewed_set(store, batch, tmp_path / "set")
    assert found == {"images/part_000000.png": "3", "images/part_000002.png": "4"}


def test_a_line_of_which_every_class_is_good_says_why_nothing_can_be_rejected() -> None:
    line = Line(
        name="odd",
        title="Odd",
        classes=(DefectClass(name="ok", title="Good", kind="ok", colour="#009e73"),),
        default_bundle="x",
    )
    with pytest.raises(ContradictionError, match="needs its defect"):
        label_to_keep(line, "reject", "")
