"""Reviewed images join a labelled set under the label that people gave each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.bundle.policy import Policy
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.store import labelling, reviews
from defectvision.store.database import Store
from defectvision.store.files import digest_of
from defectvision.store.labelling import Added, Given
from defectvision.store.tables import InspectionRow
from defectvision.web.label.joining import add_reviewed
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import casting
from tests.stand_ins.stores import fill, new_store

ADA, CASTING = unproven("ada"), LINES["casting"]
GOOD, BAD, OTHER = casting("ok", 1), casting("def", 2), casting("def", 3)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A batch of three images, all decided on, and an empty set."""
    made = new_store(tmp_path)
    fill(made, CASTING, 3)
    with made.session() as session:
        for number, data in enumerate((GOOD, BAD, OTHER), 1):
            row = session.get_one(InspectionRow, number)
            row.digest, row.stored = made.files.put(data), True
            said = "accept" if data is GOOD else "reject"
            reviews.decide(session, number, ADA, said, Policy())
        labelling.new_set(session, "Castings", "casting", CASTING.classes, "multiclass", ADA)
    return made


def join(store: Store) -> Added:
    with store.reading() as session:
        row = labelling.get_set(session, 1)
    return add_reviewed(store, row, 1, PIXELS, ADA)


def labels(store: Store) -> dict[str, str | None]:
    with store.reading() as session:
        rows = labelling.images_of(session, 1)
        return {row.digest: row.label if row.labelled else None for row in rows}


def test_what_nobody_labelled_yet_gets_the_label_of_its_review(store) -> None:
    labelling.add_images(store, 1, [Given("seen.png", BAD)], PIXELS, ADA)
    added = join(store)
    assert (len(added.images), len(added.again), added.refused) == (2, 1, ())
    found = {GOOD: "ok", BAD: "def", OTHER: "def"}  # BAD lay there without a label
    assert labels(store) == {digest_of(data): label for data, label in found.items()}


def test_an_image_with_another_label_keeps_it_and_is_named(store) -> None:
    for data in (GOOD, BAD):
        known = labelling.add_images(store, 1, [Given("a.png", data)], PIXELS, ADA)
        labelling.say(store, known.images[digest_of(data)], ["ok"], {}, ADA)
    added = join(store)
    assert len(added.images) == 1
    (refused,) = added.refused
    assert refused.name == "part_000001.png"
    good, bad = CASTING.titles(["ok"]), CASTING.titles(["def"])
    assert f"in the set as {good}; the review says {bad}" in str(refused)
    assert labels(store)[digest_of(BAD)] == "ok"
