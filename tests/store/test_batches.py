"""The list of batches: what it counts, and what it asks the database for."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from defectvision.bundle.policy import Policy
from defectvision.store import batches
from defectvision.store.batches import Counts
from defectvision.store.results import Results
from defectvision.store.tables import ImageState, InspectionRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.statements import statements
from tests.stand_ins.stores import fill, new_store

BATCHES = 50


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_long_list_asks_as_little_as_a_short_one(kind, tmp_path, request) -> None:
    database = request.getfixturevalue("postgres")() if kind != "sqlite" else ""
    store = new_store(tmp_path, database)
    numbers = [fill(store, LINES["casting"], images=1 + i % 3, seed=i) for i in range(BATCHES)]
    with store.session() as session:
        first = update(InspectionRow).where(InspectionRow.batch_id == numbers[2])
        session.execute(first.values(state=ImageState.FAILED))
        again = update(InspectionRow).where(InspectionRow.batch_id == numbers[1])
        session.execute(again.values(same_as=1))
    with statements(store.engine) as asked, store.reading() as session:
        rows = batches.list_batches(session)
        counts = batches.count_by_batch(session, [row.id for row in rows])
    assert len(asked) == 2, asked
    assert list(counts) == numbers[::-1]
    assert counts[numbers[0]] == Counts(done=1)
    assert counts[numbers[1]] == Counts(done=2, repeated=2)
    assert counts[numbers[2]] == Counts(failed=3)
    assert sum(count.total for count in counts.values()) == sum(1 + i % 3 for i in range(BATCHES))


def test_a_batch_without_images_is_counted_too(tmp_path) -> None:
    store = new_store(tmp_path)
    number = fill(store, LINES["casting"], images=0)
    with store.reading() as session:
        assert batches.count_by_batch(session, [number]) == {number: Counts()}
        assert batches.count_by_batch(session, []) == {}


def test_results_are_read_with_the_line_as_it_was(tmp_path) -> None:
    """A class is renamed and another one added: older batches keep theirs."""
    old = LINES["magnetic-tile"]
    *others, last = old.classes
    renamed = last.model_copy(update={"name": "renamed", "title": "Renamed"})
    added = last.model_copy(update={"name": "added", "title": "Added"})
    new = old.model_copy(update={"classes": (*others, renamed, added)})
    store = new_store(tmp_path)
    first, second = fill(store, old, 30), fill(store, new, 30)
    for number, line in ((first, old), (second, new)):
        results = Results.open(store, number)
        assert results.line == line
        selection = results.selection(Policy(accept_below=0.2, reject_above=0.6))
        parts = list(results.every(selection))
        assert set(parts[0].as_json(selection.policy)["labels"][0]) == {
            "name", "probability", "named",
        }  # fmt: skip
        assert set(results.summary(selection).classes) == set(line.class_names)
