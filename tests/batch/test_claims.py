"""A batch has one worker at a time, of whatever process, and whoever asked waits for its end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from defectvision.batch import claim as claiming
from defectvision.batch.claim import Claim, Rivals, claimed
from defectvision.batch.holder import has_ended, new_holder
from defectvision.batch.runner import work_on
from defectvision.batch.worker import work_until_ended
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches, claims
from defectvision.store.batches import Counts, State
from defectvision.store.errors import ClaimLostError, StoreError
from defectvision.store.retention import delete_batch
from defectvision.store.tables import BatchRow, InspectionRow, now
from tests.stand_ins.claimed_batches import (
    DATABASES,
    ELSEWHERE,
    PATIENCE,
    Place,
    batch_row,
    counts,
    give_back,
    new_batch,
    steal,
)


@DATABASES
def test_two_workers_do_not_share_a_batch(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store, other = place.open("a"), place.open("b")
    number = new_batch(store, weights, tmp_path, 3)
    with claimed(store, number, Rivals()) as claim:
        assert claim is not None
        assert not work_on(other, weights, Limits(), number, Event())
        assert counts(other, number).total == 0
        row = batch_row(other, number)
        assert row.holder == claim.holder and row.held_since is not None
    assert batch_row(store, number).holder is None
    assert work_on(other, weights, Limits(), number, Event())
    assert counts(store, number) == Counts(done=3)


@DATABASES
@pytest.mark.parametrize(
    ("holder", "over", "state", "taken"),
    [
        (None, None, "running", True),
        (None, None, "watching", True),
        (None, None, "paused", False),
        (None, None, "cancelled", False),
        (None, None, "done", False),
        (ELSEWHERE, None, "running", False),
        (ELSEWHERE, (ELSEWHERE, 7), "running", True),
        (ELSEWHERE, (ELSEWHERE, 6), "running", False),  # it beat meanwhile
        (ELSEWHERE, ("another", 7), "running", False),  # a third one was faster
        (None, (ELSEWHERE, 7), "running", False),  # it let go, and may have ended the batch
        (ELSEWHERE, (ELSEWHERE, 7), "done", False),
    ],
)
def test_who_gets_a_claim(database, weights, tmp_path, holder, over, state, taken) -> None:
    store = Place(tmp_path, database).open()
    number = new_batch(store, weights, tmp_path, 1)
    with store.session() as session:
        row = batches.get_batch(session, number)
        row.holder, row.beats, row.state = holder, 7, state
    with store.session() as session:
        beat = claims.Beat(*over) if over else None
        assert claims.take_claim(session, number, "me", beat) == taken
    assert batch_row(store, number).holder == ("me" if taken else holder)


def test_a_silent_holder_is_replaced_when_its_time_is_over(store, weights, tmp_path, clock) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    steal(store, number)
    rivals = Rivals()

    def is_free() -> bool:
        with claimed(store, number, rivals) as claim:
            return claim is not None

    assert not is_free()
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free()
    with store.session() as session:
        claims.beat(session, number, ELSEWHERE)
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free(), "it beat since it was seen last"
    clock[0] += claiming.SILENT_SECONDS - 0.1
    assert not is_free(), "what was seen at the last look counts, not what was before"
    clock[0] += 0.2
    assert is_free()
    assert batch_row(store, number).holder is None


@pytest.mark.parametrize("days", [-3650, -1, 1, 3650])
def test_a_clock_that_jumps_neither_costs_a_claim_nor_keeps_a_dead_one(
    store, weights, tmp_path, clock, monkeypatch, days
) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    steal(store, number)
    rivals = Rivals()
    with claimed(store, number, rivals) as claim:
        assert claim is None
    jumped = now() + timedelta(days=days)
    monkeypatch.setattr("defectvision.store.age.now", lambda: jumped)
    monkeypatch.setattr("time.time", lambda: jumped.timestamp())
    with claimed(store, number, rivals) as claim:
        assert claim is None, "nothing but the clock moved"
    clock[0] += claiming.SILENT_SECONDS
    with claimed(store, number, rivals) as claim:
        assert claim is not None


@pytest.mark.slow
def test_a_slow_model_keeps_the_batch(store, weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(claiming, "SILENT_SECONDS", 2.0)  # of a busy machine, too
    monkeypatch.setattr(claiming, "has_ended", lambda holder: False)
    number = new_batch(store, weights, tmp_path, 3)
    inspect_many, calls = Inspector.inspect_many, []

    def slowly(*given: object, **more: object) -> object:
        calls.append(given)
        time.sleep(5)
        return inspect_many(*given, **more)

    monkeypatch.setattr(Inspector, "inspect_many", slowly)
    what = (store, weights, Limits(), number, Event())
    worker = Thread(target=work_until_ended, args=what)
    worker.start()
    rivals, looks = Rivals(), 0
    while worker.is_alive() and not calls:
        time.sleep(0.01)
    while batch_row(store, number).state == State.RUNNING:
        with claimed(store, number, rivals) as claim:
            assert claim is None or counts(store, number).done == 3
        looks += 1
        time.sleep(0.02)
    worker.join(PATIENCE)
    assert looks > 20 and len(calls) == 1 and counts(store, number) == Counts(done=3)


# The worker's transactions: it lists, says so, counts a try and writes, of five images in twos, and
# ends the batch.
@pytest.mark.slow
@DATABASES
@pytest.mark.parametrize(
    ("before", "listed", "done"),
    [(1, 0, 0), (2, 5, 0), (3, 5, 0), (4, 5, 0), (5, 5, 2), (6, 5, 2), (8, 5, 4), (9, 5, 5)],
)
def test_who_lost_the_batch_writes_nothing_more(
    database, weights, tmp_path, monkeypatch, caplog, before, listed, done
) -> None:
    store = Place(tmp_path, database).open()
    number = new_batch(store, weights, tmp_path, 5)
    monkeypatch.setattr("defectvision.batch.memory.FIRST", 2)
    monkeypatch.setattr("defectvision.batch.memory.OfBatch.pace", lambda *times: None)
    monkeypatch.setattr(claiming, "BEAT_SECONDS", PATIENCE)
    session_of, taken = Claim.session, []

    @contextmanager
    def session(claim: Claim) -> Iterator[object]:
        taken.append(claim)
        if len(taken) == before:
            steal(store, number)
        with session_of(claim) as session:
            yield session

    monkeypatch.setattr(Claim, "session", session)
    assert not work_on(store, weights, Limits(), number, Event())
    assert len(taken) == before and "taken over" in caplog.text
    found, row = counts(store, number), batch_row(store, number)
    assert (found.total, found.done) == (listed, done)
    assert (row.state, row.holder, row.message) == (State.RUNNING, ELSEWHERE, "")
    assert not work_on(store, weights, Limits(), number, Event()), "the other one has it"
    give_back(store, number)
    work_on(store, weights, Limits(), number, Event())
    assert counts(store, number) == Counts(done=5)
    assert batch_row(store, number).state == State.DONE


def test_a_worker_that_lost_the_batch_does_not_pause_it(
    store, weights, tmp_path, monkeypatch
) -> None:
    number = new_batch(store, weights, tmp_path, 2)

    def broken(*_: object, **__: object) -> object:
        steal(store, number)
        raise OSError("the disk is full")

    monkeypatch.setattr(Inspector, "inspect_many", broken)
    assert not work_on(store, weights, Limits(), number, Event())
    assert batch_row(store, number).state == State.RUNNING


@pytest.mark.slow
def test_a_heartbeat_that_finds_the_claim_lost_ends_the_work_before_the_next_images(
    store, weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.02)
    number = new_batch(store, weights, tmp_path)
    inspect_many, calls = Inspector.inspect_many, []
    beat, noticed = claims.beat, Event()

    def heard(*given: object) -> None:
        try:
            beat(*given)
        except ClaimLostError:
            noticed.set()
            raise

    def robbed(*given: object, **more: object) -> object:
        calls.append(given)
        steal(store, number)
        assert noticed.wait(PATIENCE)
        return inspect_many(*given, **more)

    monkeypatch.setattr(claims, "beat", heard)
    monkeypatch.setattr(Inspector, "inspect_many", robbed)
    assert not work_on(store, weights, Limits(), number, Event())
    assert len(calls) == 1 and counts(store, number).done == 0


@pytest.mark.slow
def test_a_batch_that_is_cancelled_and_deleted_under_its_worker_stays_deleted(
    store, weights, tmp_path, monkeypatch
) -> None:
    number = new_batch(store, weights, tmp_path)
    inspect_many = Inspector.inspect_many

    def deleted(*given: object, **more: object) -> object:
        with store.session() as session:
            batches.move(session, number, State.CANCELLED, unproven("ada"))
            delete_batch(session, number, unproven("ada"), "a trial")
        return inspect_many(*given, **more)

    monkeypatch.setattr(Inspector, "inspect_many", deleted)
    assert not work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        assert session.scalars(select(InspectionRow)).all() == []
        assert session.scalars(select(BatchRow)).all() == []
    with pytest.raises(StoreError, match="there is no batch"):
        work_until_ended(store, weights, Limits(), number, Event())


def test_a_batch_that_is_paused_and_resumed_at_once_stays_with_its_worker(
    store, weights, tmp_path
) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    with claimed(store, number, Rivals()) as claim:
        for state in (State.PAUSED, State.RUNNING):
            with store.session() as session:
                batches.move(session, number, state, unproven("ada"))
        assert claim is not None
        assert not work_on(store, weights, Limits(), number, Event())
        with claim.session():
            pass
    assert not claim.lost.is_set()


@pytest.mark.parametrize("fails", [ClaimLostError("gone"), ArithmeticError("gone")])
def test_a_claim_is_given_up_whatever_ends_the_work(store, weights, tmp_path, fails) -> None:
    number = new_batch(store, weights, tmp_path, 1)
    with pytest.raises(type(fails)), claimed(store, number, Rivals()):
        raise fails
    assert batch_row(store, number).holder is None


def test_a_database_that_is_away_ends_neither_heartbeat_nor_work(
    store, weights, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(claiming, "BEAT_SECONDS", 0.02)
    number = new_batch(store, weights, tmp_path, 1)
    beat, away = claims.beat, [3]

    def sometimes(*given: object) -> None:
        if away[0]:
            away[0] -= 1
            raise OperationalError("", {}, OSError("the database is away"))
        beat(*given)

    monkeypatch.setattr(claims, "beat", sometimes)
    with claimed(store, number, Rivals()) as claim:
        before = batch_row(store, number).beats
        until = time.monotonic() + PATIENCE
        while batch_row(store, number).beats < before + 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert claim is not None and not claim.lost.is_set()
    assert not away[0] and caplog.text.count("did not answer") == 3


def ended_process() -> str:
    script = "from defectvision.batch.holder import new_holder; print(new_holder())"
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def of_another_start() -> str:
    """A process number that was used again."""
    host, process, start, place, own = new_holder().rsplit(":", 4)
    return ":".join((host, process, str(int(start) - 1), place, own))


def of_another_machine() -> str:
    host, process, start, _, own = ended_process().rsplit(":", 4)
    return ":".join((host, process, start, "0123456789ab", own))


def of_a_system_without_places() -> str:
    host, process, start, _, own = ended_process().rsplit(":", 4)
    return ":".join((host, process, start, "", own))


@pytest.mark.parametrize(
    ("holder", "ended"),
    [
        (new_holder, False),
        (ended_process, True),
        (of_another_start, True),
        (of_another_machine, False),
        (of_a_system_without_places, False),
        (lambda: "", False),
        (lambda: "somebody", False),
        (lambda: "a:b:c:d:e", False),
    ],
)
def test_whose_end_is_known(holder: Callable[[], str], ended: bool) -> None:
    assert has_ended(holder()) == ended


def test_no_two_workers_have_one_name() -> None:
    names = {new_holder() for _ in range(100)}
    assert len(names) == 100 and all(len(name) <= 200 for name in names)


# A server of its own: works until the batch has ended, and says what it inspected.
