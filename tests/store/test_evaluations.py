"""Evaluations are kept until somebody deletes them, and survive whoever worked on them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Event
from time import sleep

import pytest
from sqlalchemy import create_engine, select

from defectvision.bundle.reader import load_bundle
from defectvision.evaluation.kept import Kept
from defectvision.people import unproven
from defectvision.store import evaluations
from defectvision.store.backup import files_named
from defectvision.store.database import Store
from defectvision.store.dropped import remove_dropped
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import (
    SILENT_SECONDS,
    Alive,
    CancelledError,
    LabelledSet,
    Reviewed,
    State,
)
from defectvision.store.tables import AuditRow, DroppedFileRow, EvaluationRow, now
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up
from tests.stand_ins.kept_files import contents, lose, overwrite
from tests.stand_ins.stores import new_store

ADA = unproven("Ada")
SET = LabelledSet(path="/sets/castings", split="test")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture
def kept() -> Kept:
    return made_up(LINES["casting"], 60, 20)


def started(store: Store, weights: Path) -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        return evaluations.add_evaluation(session, loaded, SET, ADA).id


def state(store: Store, number: int) -> State:
    with store.reading() as session:
        return evaluations.state_of(session, evaluations.get_evaluation(session, number))


def test_what_was_found_is_opened_again(store, weights, kept) -> None:
    number = started(store, weights)
    with pytest.raises(StoreError, match=r"evaluation 1 is running\. There is nothing to open"):
        evaluations.open_evaluation(store, number)
    evaluations.finish(store, number, kept)
    assert state(store, number) == State.DONE
    assert evaluations.open_evaluation(store, number).images.equals(kept.images)
    with store.reading() as session:
        (row,) = evaluations.list_evaluations(session, "casting", "resnet50")
        assert evaluations.list_evaluations(session, "magnetic-tile") == []
        assert evaluations.source_of(row) == SET
        told = session.scalars(select(AuditRow)).all()
    assert (row.images, row.done, row.who, row.data) == (60, 60, "Ada", "made up")
    assert row.summary["defective"] == kept.defective.sum()
    assert [(t.who, t.what, t.details["evaluation"]) for t in told] == [
        ("Ada", "evaluation started", 1)
    ]


def test_a_lost_or_damaged_file_is_said(store, weights, kept) -> None:
    number = started(store, weights)
    evaluations.finish(store, number, kept)
    ((name, data),) = contents(store.files).items()
    overwrite(store.files, name, data[:-9])
    with pytest.raises(StoreError, match="damaged"):
        evaluations.open_evaluation(store, number)
    store.files.put(b"another")  # a bucket from which all is gone cannot be told from none
    lose(store.files, name)
    with pytest.raises(StoreError, match="missing"):
        evaluations.open_evaluation(store, number)


def test_one_whose_process_was_killed_is_interrupted_and_starts_again(store, weights) -> None:
    number = started(store, weights)
    with pytest.raises(StoreError, match="need not be started again"), store.session() as session:
        evaluations.begin_again(session, number, ADA)
    with store.session() as session:
        row = evaluations.get_evaluation(session, number)
        row.alive, row.done = now() - timedelta(seconds=SILENT_SECONDS + 1), 7
    assert state(store, number) == State.INTERRUPTED
    with store.session() as session:
        evaluations.begin_again(session, number, ADA)
    assert state(store, number) == State.RUNNING
    with store.reading() as session:
        assert evaluations.get_evaluation(session, number).done == 0


def test_who_works_on_it_says_so_and_learns_that_it_is_not_wanted(
    store, weights, kept, monkeypatch
) -> None:
    monkeypatch.setattr(evaluations, "BEAT_SECONDS", 0.02)
    number, told = started(store, weights), Event()
    with Alive(store, number) as alive:
        alive.say(3, 9)
        for _ in range(100):
            with store.reading() as session:
                row = evaluations.get_evaluation(session, number)
            if (row.done, row.total) == (3, 9):
                told.set()
                break
            sleep(0.02)
        with store.session() as session:
            evaluations.cancel(session, number, ADA)
        with pytest.raises(CancelledError):
            for _ in range(200):
                alive.check()
                sleep(0.02)
    assert told.is_set()
    evaluations.finish(store, number, kept)  # whoever was not quick enough
    with store.session() as session:
        evaluations.fail(session, number, "late")
    assert state(store, number) == State.CANCELLED


def test_why_it_failed_is_kept_and_it_may_be_started_again(store, weights) -> None:
    number = started(store, weights)
    with store.session() as session:
        evaluations.fail(session, number, "a.png: cannot be read")
    with pytest.raises(StoreError, match=r"evaluation 1 is failed: a\.png: cannot be read"):
        evaluations.open_evaluation(store, number)
    with store.session() as session:
        assert evaluations.begin_again(session, number, ADA).message == ""


def test_deleting_takes_a_reason_and_its_file_goes_days_later(store, weights, kept) -> None:
    number = started(store, weights)
    with store.session() as session, pytest.raises(StoreError, match="cancel it first"):
        evaluations.delete_evaluation(session, number, ADA, "old")
    evaluations.finish(store, number, kept)
    with store.session() as session:
        with pytest.raises(StoreError, match="say why"):
            evaluations.delete_evaluation(session, number, ADA, " ")
        digest = evaluations.get_evaluation(session, number).digest
        evaluations.delete_evaluation(session, number, ADA, "of the old line")
    assert store.files.has(digest), "its days of grace"
    with store.reading() as session:
        assert session.get(DroppedFileRow, digest).who == "Ada"
    with pytest.raises(StoreError, match="there is no evaluation 1"):
        evaluations.open_evaluation(store, number)
    assert started(store, weights) == 2, "no number is given twice"


def test_its_file_is_kept_and_backed_up_while_it_is_named(store, weights, kept) -> None:
    number = started(store, weights)
    evaluations.finish(store, number, kept)
    with store.session() as session:
        digest = evaluations.get_evaluation(session, number).digest
        session.add(DroppedFileRow(digest=digest, age=-(10**9), who="Ada"))
    remove_dropped(store)
    assert store.files.has(digest)
    engine = create_engine(store.engine.url)
    with engine.connect() as connection:
        assert (digest, True) in {(n.digest, n.must) for n in files_named(connection)}
    engine.dispose()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SET, "/sets/castings, test split"),
        (Reviewed(), "reviewed images"),
        (Reviewed(batches=tuple(range(1, 11))),
         "reviewed images of batch 1, 2, 3, 4, 5, 6, 7, 8 and 2 others"),
        (Reviewed(since=now().replace(2026, 11, 5, 8, 0), batches=(3,)),
         "reviewed images of batch 3 from 2026-11-05 08:00 UTC"),
    ],
)  # fmt: skip
def test_sources_in_words(source, words) -> None:
    assert source.words == words
    row = EvaluationRow(source=source.model_dump(mode="json"))
    assert evaluations.source_of(row) == source
