"""A fault is its image's or its batch's alone, and what is away for a moment costs nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from defectvision.batch import answers, reading, sources, worker
from defectvision.batch.memory import Memory
from defectvision.batch.sources import folder_source
from defectvision.inference import sources as of_files
from defectvision.inference.inspector import Inspector
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Counts, State
from defectvision.store.database import Store
from tests.stand_ins.claimed_batches import PATIENCE
from tests.stand_ins.lots import PARTS, counts, lot, rows, run, said, server_working, start


def until(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


@pytest.mark.parametrize("parts", [6, 1])
def test_an_error_of_one_image_is_its_own(store, weights, tmp_path, monkeypatch, parts) -> None:
    folder = lot(tmp_path / "lot")
    attempt = Inspector._attempt

    def broken(self, data, name, *more):
        if data == PARTS["3.png"]:
            raise ArithmeticError("the runtime gave up")
        return attempt(self, data, name, *more)

    monkeypatch.setattr(Inspector, "_attempt", broken)
    number = start(store, weights, folder_source(folder, None))
    assert run(store, weights, number) == Counts(done=5, failed=1)
    failed = rows(store, number)["3.png"]
    assert "the runtime gave up" in failed.reason and failed.remedy


def test_an_image_that_takes_for_ever_is_given_up_and_the_others_are_done(
    store, weights, tmp_path, monkeypatch
) -> None:
    folder = lot(tmp_path / "lot")
    attempt, over = Inspector._attempt, Event()

    def endless(self, data, name, *more):
        if data == PARTS["3.png"]:
            over.wait()
        return attempt(self, data, name, *more)

    monkeypatch.setattr(Inspector, "_attempt", endless)
    monkeypatch.setattr(answers, "IMAGE_SECONDS", 3.0)
    monkeypatch.setattr(answers, "EACH_SECONDS", 0.0)
    number = start(store, weights, folder_source(folder, None))
    try:
        assert run(store, weights, number) == Counts(done=5, failed=1)
    finally:
        over.set()
    assert "took longer than 3 s" in rows(store, number)["3.png"].reason


ENDS = """
import os, sys
from pathlib import Path
from threading import Event
from defectvision.batch.runner import work_on
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store.database import open_store

attempt = Inspector._attempt

def ending(self, data, name, *more):
    if data.endswith(b"\\3"):
        os._exit(139)
    return attempt(self, data, name, *more)

Inspector._attempt = ending
work_on(open_store(Path(sys.argv[1])), Path(sys.argv[2]), Limits(), int(sys.argv[3]), Event())
"""


@pytest.mark.slow
def test_an_image_that_ends_the_program_is_known_by_it(store, weights, tmp_path) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    what = (sys.executable, "-c", ENDS, store.folder, weights, str(number))
    ends = []
    while len(ends) < 20 and (not ends or ends[-1]):
        ends.append(subprocess.run(what, check=False).returncode)
    assert ends == [139] * reading.MOST_TRIES + [0]
    assert counts(store, number) == Counts(done=5, failed=1)
    assert "the program ended" in rows(store, number)["3.png"].reason
    assert said(store, number)[0] == State.DONE


def test_a_full_disk_counts_as_no_try_of_an_image(store, weights, tmp_path, monkeypatch) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    with monkeypatch.context() as full:
        full.setattr(
            Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        for _ in range(8):
            assert run(store, weights, number).waiting == 6
        state, message = said(store, number)
        assert state == State.RUNNING and "No space left" in message
    assert run(store, weights, number) == Counts(done=6)
    assert said(store, number) == (State.DONE, "")


# Reads that hang


@pytest.fixture
def hanging(monkeypatch):
    """Names of files whose reading does not come back until the test is over."""
    names, over = set(), Event()
    read_file = sources.read_file

    def slow(path: Path, **more):
        if path.name in names:
            over.wait()
        return read_file(path, **more)

    monkeypatch.setattr(sources, "read_file", slow)
    monkeypatch.setattr(reading, "READ_SECONDS", 0.2)
    yield names
    over.set()


def test_a_read_that_hangs_holds_up_no_other_image(store, weights, tmp_path, hanging) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    hanging.add("3.png")
    memory = Memory()
    assert run(store, weights, number, memory) == Counts(done=5, waiting=1)
    hanging.clear()
    memory.of(number).later.clear()
    assert run(store, weights, number, memory) == Counts(done=6)


def test_a_share_that_hangs_is_waited_for(store, weights, tmp_path, hanging) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    hanging.update(PARTS)
    started = time.monotonic()
    assert run(store, weights, number).waiting == 6
    assert time.monotonic() - started < 10
    state, message = said(store, number)
    assert state == State.RUNNING and "do not answer" in message
    hanging.clear()
    assert run(store, weights, number) == Counts(done=6)
    assert said(store, number) == (State.DONE, "")


@pytest.fixture
def server(store, weights, monkeypatch):
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "HUNG_SECONDS", 0.5)
    with server_working(store, weights):
        yield


@pytest.mark.slow
def test_a_batch_that_hangs_stops_no_other_and_can_be_cancelled(
    store, weights, tmp_path, monkeypatch, server
) -> None:
    hung, over = lot(tmp_path / "hung"), Event()
    opened_folder = of_files.opened_folder

    def dead_mount(folder, *more):
        if Path(folder) == hung:
            over.wait()
        return opened_folder(folder, *more)

    monkeypatch.setattr(of_files, "opened_folder", dead_mount)
    first = start(store, weights, folder_source(hung, None))
    watched = start(store, weights, folder_source(lot(tmp_path / "w"), None, watch=True))
    other = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    try:
        until(lambda: said(store, other)[0] == State.DONE, "the other batch")
        until(lambda: counts(store, watched).done == 6, "the watched folder")
        until(lambda: "listing its files takes longer" in said(store, first)[1], "a word")
        with store.session() as session:
            batches.move(session, first, State.CANCELLED, unproven("ada"))
        assert said(store, first)[0] == State.CANCELLED
    finally:
        over.set()


@pytest.mark.slow
def test_a_batch_whose_rows_are_broken_stops_no_other(
    store, weights, tmp_path, monkeypatch, server
) -> None:
    first = start(store, weights, folder_source(lot(tmp_path / "a"), None))
    with store.session() as session:
        session.connection().exec_driver_sql(
            f'update batches set source = \'{{"kind": "nonsense"}}\' where id = {first}'
        )
    other = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    until(lambda: said_of(store, other) == State.DONE, "the other batch")


def said_of(store: Store, number: int) -> str:
    with store.reading() as session:
        return session.scalars(
            select(batches.BatchRow.state).where(batches.BatchRow.id == number)
        ).one()
