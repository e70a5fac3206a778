"""`health` touches what it vouches for: each part is broken for real, and only that one says so."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from defectvision.batch import health as healths
from defectvision.batch.health import Health, health_of
from defectvision.batch.sources import folder_source
from defectvision.finding import Condition, worst
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import State
from defectvision.store.database import Store, open_store
from defectvision.store.files import Files
from defectvision.store.tables import CounterRow, InspectionRow, WorkerRow, now
from defectvision.store.workers import say_here
from tests.stand_ins.lots import lot, run, start

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "store")
    with store.session() as session:
        say_here(session, "a")
    return store


def looked(store: Store) -> dict[str, str]:
    return {one.part: one.state.value for one in Health(lambda: store).look()}


def broken(store: Store) -> dict[str, str]:
    return {one.part: one.words for one in Health(lambda: store).look() if one.state != "ok"}


def files_of(store: Store) -> set[Path]:
    return {path for path in (store.folder / "files").rglob("*") if path.is_file()}


def test_all_is_well_and_nothing_is_left_behind(store) -> None:
    before = files_of(store)
    parts = looked(store)
    assert parts == dict.fromkeys(("database", "files", "disk", "worker", "batches"), "ok")
    assert files_of(store) == before
    with store.reading() as session:
        assert session.get_one(CounterRow, "touched").last == 1


def test_a_database_that_can_only_be_read_is_broken(store) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql("pragma query_only = 1")
        connection.commit()
    assert "readonly" in broken(store)["database"]


def test_a_database_that_is_damaged_is_broken(store) -> None:
    with sqlite3.connect(store.folder / "defectvision.sqlite3") as database:
        database.execute("drop table counters")
    assert set(broken(store)) == {"database"}


@pytest.mark.parametrize("done", ["gone", "read only", "a file"])
def test_files_that_cannot_be_written_are_broken(store, monkeypatch, done) -> None:
    folder = store.folder / "files"
    if done == "gone":
        shutil.rmtree(folder)
        folder.symlink_to(store.folder / "nowhere" / "at all")
    elif done == "a file":
        shutil.rmtree(folder)
        folder.write_bytes(b"")
    else:
        # Not by its mode, which stops everybody but the administrator.
        def refused(*_: object) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

        monkeypatch.setattr(Files, "_put", refused)
    assert "files" in broken(store) and looked(store)["files"] == "broken"


def test_files_that_are_not_what_was_written_are_broken(store, monkeypatch) -> None:
    monkeypatch.setattr("defectvision.store.files.write_bytes", lambda p, _: p.write_bytes(b"\0"))
    assert "something else" in broken(store)["files"]
    assert files_of(store) == set()


@pytest.mark.parametrize(("free", "state"), [(3e9, "ok"), (1e9, "attention"), (1e7, "broken")])
def test_a_disk_that_runs_full_is_said_before_it_is_full(store, monkeypatch, free, state) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(4e9, 4e9 - free, free))
    assert looked(store)["disk"] == state


def test_no_worker_is_broken_and_says_since_when(store) -> None:
    with store.session() as session:
        session.get_one(WorkerRow, "a").seen = now() - timedelta(minutes=10)
    assert broken(store) == {
        "worker": "no worker is at the batches; the last one was heard 10 min ago"
    }


def test_a_batch_without_a_result_for_long_asks_for_attention(store, weights, tmp_path) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    assert not broken(store)

    def let_pass(minutes: int) -> None:
        with store.session() as session:
            batches.get_batch(session, number).worked = now() - timedelta(minutes=minutes)
            batches.say(session, number, "a share is away")

    let_pass(11)
    assert broken(store) == {
        "batches": f"batch {number} had no result for 11 min (a share is away)"
    }
    assert looked(store)["batches"] == "attention"
    with store.session() as session:
        batches.move(session, number, State.PAUSED, unproven("ada"))
    assert not broken(store)
    with store.session() as session:
        batches.move(session, number, State.RUNNING, unproven("ada"))
    assert not broken(store), "its time begins with its going on"
    let_pass(11)
    assert run(store, weights, number).done == 6
    assert not broken(store)


def test_a_watched_folder_without_images_is_well_and_one_that_waits_is_not(
    store, weights, tmp_path
) -> None:
    folder = lot(tmp_path / "camera", {})
    number = start(store, weights, folder_source(folder, None, watch=True))
    with store.session() as session:
        batches.get_batch(session, number).worked = now() - timedelta(hours=1)
    run(store, weights, number)
    assert not broken(store)
    lot(folder)
    time.sleep(1.1)
    run(store, weights, number)
    with store.session() as session:
        assert batches.get_batch(session, number).worked > now() - timedelta(minutes=1)
        one = session.scalars(select(InspectionRow)).first()
        one.state = "waiting"
        batches.get_batch(session, number).worked = now() - timedelta(hours=1)
    assert set(broken(store)) == {"batches"}


def test_what_hangs_is_said_in_time_and_asked_once(store, monkeypatch) -> None:
    over, asked = Event(), []

    def hangs(_self: Files) -> None:
        asked.append(1)
        over.wait()

    monkeypatch.setattr(Files, "touch", hangs)
    monkeypatch.setattr(healths, "PART_SECONDS", 0.2)
    health = Health(lambda: store)
    try:
        for _ in range(3):
            states = {one.part: one.state for one in health.look(oldest=0)}
            assert states.pop("files") == Condition.BROKEN
            assert set(states.values()) == {Condition.OK}
        assert asked == [1]
    finally:
        over.set()
    time.sleep(0.1)
    assert worst(health.look(oldest=0)) == Condition.OK


def test_many_askers_cost_one_look(store, monkeypatch) -> None:
    health = health_of(store.folder)
    for _ in range(50):
        health.look()
    with store.reading() as session:
        assert session.get_one(CounterRow, "touched").last == 1
