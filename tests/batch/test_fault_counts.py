"""Images that are lost or inspected twice, counted, when what a plant's machine does to it happens.

    DEFECTVISION_TESTS=fuzz python -m pytest -n0 -q -s tests/batch/test_fault_counts.py

Each row that is printed is a batch, worked on by real `defectvision work` processes, whose answers
are counted as the database took them. Without that variable, fewer images.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from defectvision.store.batches import State
from defectvision.store.database import Store
from defectvision.store.files import Files
from tests.stand_ins.claimed_batches import PATIENCE, Place, batch_row, counts, done_rows, new_batch
from tests.stand_ins.machines import Machine, wait_for
from tests.stand_ins.postgres import Postgres, running_postgres

pytestmark = [pytest.mark.slow, pytest.mark.soak]
IMAGES, KILLS = (200, 8) if os.environ.get("DEFECTVISION_TESTS") == "fuzz" else (48, 2)
AWAY_SECONDS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as own:
        yield own


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(tmp_path, "")
    return Place(tmp_path, request.getfixturevalue("server").new_database())


def until(condition, machines: list[Machine]) -> None:
    end = time.monotonic() + 2 * PATIENCE
    while not condition():
        assert time.monotonic() < end, [machine.log.read_text()[-3000:] for machine in machines]
        time.sleep(0.05)


def check(fault: str, times: int, place: Place, number: int, machines: list[Machine]) -> None:
    """Count, say, and compare with none."""
    store = place.open()
    found = counts(store, number)
    written = sum((machine.written for machine in machines), Counter())
    doubled = sum(many - 1 for many in written.values())
    whole = sum(_is_whole(store, row.record) for row in done_rows(store, number))
    lost = IMAGES - min(found.done, whole)
    kind = "PostgreSQL" if place.database else "SQLite"
    print(f"\n| {fault} | {kind} | {times} | {found.total} | {lost} | {doubled} |", end="")
    assert (found.total, found.done, lost, doubled) == (IMAGES, IMAGES, 0, 0)
    assert batch_row(store, number).state == State.DONE


def _is_whole(store: Store, digest: str | None) -> bool:
    return digest is not None and store.files.is_whole(digest)


def done(place: Place, number: int) -> bool:
    return batch_row(place.open(), number).state == State.DONE


def test_kill(place, weights) -> None:
    number = new_batch(place.open(), weights, place.folder, IMAGES)
    random, machines = Random(1), []
    with ExitStack() as running:
        for i in range(KILLS + 1):
            machine = running.enter_context(Machine(place, weights, f"m{i}", slow=0.05, silent=1.0))
            machines.append(machine)
            if i == KILLS:
                break
            machine.until("inspecting")
            time.sleep(random.uniform(0, 0.5))
            machine.kill()
        until(lambda: done(place, number), machines)
        machines[-1].end()
    check("kill -9 of the worker", KILLS, place, number, machines)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can mount a small disk")
def test_full_disk(place, weights) -> None:
    """Of the store: with SQLite the database is on it, too."""
    disk = place.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)), check=False
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    on_disk = Place(disk, place.database)
    times = 3
    try:
        number = new_batch(on_disk.open(), weights, place.folder, IMAGES)
        with ExitStack() as running:
            machine = running.enter_context(Machine(on_disk, weights, "m", slow=0.1))
            for i in range(1, times + 1):
                machine.until("wrote", IMAGES // 5 * i)
                # Unbuffered: closing it would write what is left once more, and fail again.
                with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
                    while True:
                        ballast.write(bytes(1 << 16))
                time.sleep(3)
                (disk / "ballast").unlink()
            until(lambda: done(on_disk, number), [machine])
            machine.end()
        assert "space" in machine.log.read_text() or "full" in machine.log.read_text()
        check("disk full for 3 s", times, on_disk, number, [machine])
        on_disk.open().engine.dispose()
    finally:
        subprocess.run(("umount", "-l", str(disk)), check=True)


def test_database_away(place, weights, request) -> None:
    """PostgreSQL is stopped and started again; SQLite is held by another program."""
    number = new_batch(place.open(), weights, place.folder, IMAGES)
    times = 2
    with ExitStack() as running:
        machines = [running.enter_context(Machine(place, weights, name, slow=0.1)) for name in "ab"]
        for i in range(1, times + 1):
            until(
                lambda i=i: sum(sum(m.written.values()) for m in machines) >= IMAGES // 5 * i,
                machines,
            )
            if place.database:
                server = request.getfixturevalue("server")
                server.stop()
                time.sleep(AWAY_SECONDS)
                server.start()
            else:
                file = place.folder / "store/defectvision.sqlite3"
                other = sqlite3.connect(file, isolation_level=None, timeout=PATIENCE)
                other.execute("begin immediate")
                time.sleep(AWAY_SECONDS)
                other.execute("rollback")
                other.close()
        place.open().engine.dispose()
        until(lambda: done(place, number), machines)
        for machine in machines:
            machine.end()
    check(f"database away for {AWAY_SECONDS} s", times, place, number, machines)


def test_clock_jumps(place, weights) -> None:
    """By 30 days, there and back, while two work and the one that is at it is killed."""
    store, files = place.open(), Files(str(place.folder / "files"))
    with ExitStack() as running:
        machines = {}
        for name in "ab":
            machine = Machine(place, weights, name, slow=0.1, silent=1.0)
            machines[name] = running.enter_context(machine)
        wait_for(2, store)
        number = new_batch(store, weights, place.folder, IMAGES)
        jumps = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGUSR2, signal.SIGUSR1)
        killed, all_of = "", list(machines.values())
        for i, jump in enumerate(jumps, 1):
            least = IMAGES // 7 * i
            until(lambda n=least: sum(sum(m.written.values()) for m in all_of) >= n, all_of)
            kept = files.usage()[0]
            for name, machine in machines.items():
                if name != killed:
                    machine.process.send_signal(jump)
            if i == 2:
                until(lambda: batch_row(store, number).holder is not None, all_of)
                killed = (batch_row(store, number).holder or "").partition(":")[0]
                machines[killed].kill()
            time.sleep(0.5)
            assert files.usage()[0] >= kept, "no file is removed"
        until(lambda: done(place, number), all_of)
        for name, machine in machines.items():
            if name != killed:
                machine.end()
    check("clock jumps by 30 days", len(jumps), place, number, [*machines.values()])
