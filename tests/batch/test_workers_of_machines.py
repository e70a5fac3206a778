"""`defectvision work` on several machines: each image once, whatever is killed and whatever the
clocks say."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from defectvision.batch.sources import folder_source
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Counts, State
from defectvision.store.database import Store
from defectvision.store.workers import silence_of_workers, workers_here
from tests.stand_ins.claimed_batches import (
    IMAGES,
    MOSTLY_POSTGRESQL,
    PATIENCE,
    Place,
    batch_row,
    counts,
    new_batch,
)
from tests.stand_ins.lots import PARTS, lot, start
from tests.stand_ins.machines import Machine, wait_for

HOUR = 3600.0


def until_done(store, numbers: list[int], machines: list[Machine]) -> None:
    end = time.monotonic() + PATIENCE
    while any(batch_row(store, number).state != State.DONE for number in numbers):
        assert time.monotonic() < end, [machine.log.read_text() for machine in machines]
        time.sleep(0.1)


def distinct_batch(store: Store, weights: Path, folder: Path, salt: int) -> int:
    """One of whose images none is in another."""
    parts = {f"{i}.png": PARTS["1.png"] + bytes([salt, i]) for i in range(IMAGES)}
    return start(store, weights, folder_source(lot(folder, parts), None))


@pytest.mark.slow
@MOSTLY_POSTGRESQL
def test_machines_share_batches_and_one_is_killed_at_work_while_clocks_are_wrong(
    database, weights, tmp_path
) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    with ExitStack() as running:
        machines = [
            running.enter_context(Machine(place, weights, name, offset, slow=0.3))
            for name, offset in {"a": HOUR, "b": -HOUR, "c": 0.0}.items()
        ]
        wait_for(3, store)
        numbers = [distinct_batch(store, weights, tmp_path / f"lot{i}", i) for i in range(3)]
        for machine in machines:
            machine.until("inspecting")
        if database:  # SQLite has no clock of its own, and no more than one machine
            with store.reading() as session:
                assert len(workers_here(session)) == 3
        machines[0].until("inspecting", 3)
        machines[0].kill()
        until_done(store, numbers, machines[1:])
        for machine in machines[1:]:
            machine.end()
        with store.reading() as session:  # the killed one is not yet known to be gone
            names = {name.split(":")[0] for name in silence_of_workers(session)}
            assert names == {"a"}
    found = [counts(store, number) for number in numbers]
    assert [(one.waiting, one.done, one.failed) for one in found] == [(0, IMAGES, 0)] * 3
    written = sum((machine.written for machine in machines), Counter())
    assert len(written) == 3 * IMAGES and set(written.values()) == {1}
    assert all(batch_row(store, number).holder is None for number in numbers)
    logs = "".join(machine.log.read_text() for machine in machines[1:])
    assert "is taken over from a:" in logs and logs.count("is taken over") == 1


@pytest.mark.slow
def test_a_machine_that_stands_still_while_it_writes_holds_up_neither_others_nor_a_cancel(
    postgres, weights, tmp_path
) -> None:
    """Its transaction keeps a lock on the batch, in the database, until the database ends it."""
    place = Place(tmp_path, postgres())
    store = place.open()
    number, other = (new_batch(store, weights, tmp_path, 8) for _ in range(2))
    with ExitStack() as running:
        still = store.session()
        session = still.__enter__()
        batches.get_batch(session, number).title = "being written"
        session.flush()  # and no more comes of it
        machine = running.enter_context(Machine(place, weights, "b"))
        until_done(store, [other], [machine])
        with place.open("c").session() as another:
            batches.move(another, number, State.CANCELLED, unproven("ada"))
        assert batch_row(store, number).state == State.CANCELLED
        machine.end()
    with pytest.raises(Exception, match=r"terminat|closed"):
        still.__exit__(None, None, None)
    assert batch_row(store, number).title == "lot 7"


@pytest.mark.slow
@MOSTLY_POSTGRESQL
def test_a_machine_with_another_version_of_the_bundle_leaves_the_batch_to_the_others(
    database, weights, tmp_path
) -> None:
    from tests.stand_ins.bundles import write_bundle

    place = Place(tmp_path, database)
    store = place.open()
    write_bundle(tmp_path / "newer", "casting", "resnet50", gain=1.5)
    with ExitStack() as running:
        right = running.enter_context(Machine(place, weights, "right"))
        wrong = running.enter_context(Machine(place, tmp_path / "newer", "wrong"))
        wait_for(2, store)
        end = time.monotonic() + PATIENCE
        right.process.send_signal(signal.SIGSTOP)
        number = new_batch(store, weights, tmp_path, 8)
        while "was replaced" not in batch_row(store, number).message:
            assert time.monotonic() < end and wrong.process.poll() is None, wrong.log.read_text()
            time.sleep(0.1)
        right.process.send_signal(signal.SIGCONT)
        until_done(store, [number], [right, wrong])
    assert counts(store, number) == Counts(done=8) and wrong.written == Counter()


@pytest.mark.slow
@MOSTLY_POSTGRESQL
def test_a_watched_folder_is_followed_by_one_of_two_machines_and_then_by_the_other(
    database, weights, tmp_path
) -> None:
    """Files whose camera's clock is ahead are complete when they stood still for one who looks
    again and again, which two do not who take turns."""
    place = Place(tmp_path, database)
    store = place.open()
    folder = lot(tmp_path / "camera", {})
    number = start(store, weights, folder_source(folder, None, watch=True))

    def arrive(name: str) -> None:
        file = folder / name
        file.write_bytes(PARTS["1.png"] + name.encode())
        os.utime(file, (time.time() + HOUR,) * 2)
        before, end = counts(store, number).done, time.monotonic() + PATIENCE / 3
        while counts(store, number).done == before:
            assert time.monotonic() < end, [machine.log.read_text() for machine in machines]
            time.sleep(0.1)

    with ExitStack() as running:
        machines = [running.enter_context(Machine(place, weights, name)) for name in "ab"]
        wait_for(2, store)
        for i in range(6):
            arrive(f"{i}.png")
        followers = [machine for machine in machines if machine.written]
        followers[-1].kill()
        arrive("last.png")
    written = sum((machine.written for machine in machines), Counter())
    assert len(written) == 7 and set(written.values()) == {1}


def test_workers_that_fell_silent_are_not_counted(tmp_path: Path) -> None:
    from datetime import timedelta

    from defectvision.store.tables import WorkerRow, now
    from defectvision.store.workers import say_gone, say_here

    store = Place(tmp_path, "").open()
    with store.session() as session:
        for name in ("a", "b", "c"):
            say_here(session, name)
            say_here(session, name)
        session.get_one(WorkerRow, "a").seen = now() - timedelta(seconds=91)
        session.get_one(WorkerRow, "b").seen = now() + timedelta(hours=1)  # a clock was set back
    with store.reading() as session:
        assert workers_here(session) == ["c"]
    with store.session() as session:
        session.get_one(WorkerRow, "a").seen = now() - timedelta(days=2)
        say_here(session, "d")
        say_gone(session, "c")
    with store.reading() as session:
        assert {row.name for row in session.query(WorkerRow)} == {"b", "d"}
