"""Servers on one store never inspect an image twice, whatever ends or stops one of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from defectvision.store.batches import Counts, State
from tests.stand_ins.claimed_batches import (
    DATABASES,
    IMAGES,
    MOSTLY_SQLITE,
    PATIENCE,
    Place,
    batch_row,
    counts,
    done_rows,
    new_batch,
    steal,
)

SERVER = """
import sys, time
from pathlib import Path
from threading import Event
from defectvision.batch import claim
from defectvision.batch.worker import work_until_ended
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store.database import open_store

folder, database, files, weights, number, silent, slow = sys.argv[1:]
claim.BEAT_SECONDS, claim.SILENT_SECONDS = 0.1, float(silent)
inspect_many = Inspector.inspect_many

def counted(self, given, **more):
    given = list(given)
    print("inspecting", len(given), flush=True)
    time.sleep(float(slow))
    return inspect_many(self, given, **more)

Inspector.inspect_many = counted
store = open_store(Path(folder), database, files)
print("ready", flush=True)
sys.stdin.readline()
work_until_ended(store, Path(weights), Limits(), int(number), Event())
"""


class Server:
    """A real process; it begins when it is told to."""

    def __init__(
        self, place: Place, weights: Path, number: int, name: str, silent: float, slow: float = 0
    ) -> None:
        folder = place.folder / (name if place.database else "store")
        what = (folder, place.database, place.folder / "files", weights, number, silent, slow)
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, *map(str, what)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def until_it_inspects(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline().split()[1])

    def end(self) -> tuple[int, list[int], str]:
        """Its exit status, how many images it inspected each time, and its log."""
        out, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, [int(line.split()[1]) for line in out.splitlines()], log


@pytest.mark.slow
@DATABASES
def test_servers_that_start_at_once_inspect_each_image_once(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path)
    with ExitStack() as running:
        servers = [Server(place, weights, number, name, 30, 0.2) for name in "abc"]
        for server in servers:
            running.callback(server.process.kill)
        for server in servers:
            server.begin()
        ends = [server.end() for server in servers]
    assert [status for status, _, _ in ends] == [0, 0, 0], ends
    assert sum(sum(inspected) for _, inspected, _ in ends) == IMAGES
    assert sum(bool(inspected) for _, inspected, _ in ends) == 1, "one had it from first to last"
    assert counts(store, number) == Counts(done=IMAGES)
    row = batch_row(store, number)
    assert (row.state, row.holder) == (State.DONE, None)


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_killed_server_is_replaced_at_once_on_its_machine(database, weights, tmp_path) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path)
    server = Server(place, weights, number, "a", 3600)
    server.begin()
    server.until_it_inspects()
    server.process.kill()  # and not waited for: a process that has ended and is still listed
    other = Server(place, weights, number, "b", 3600)
    other.begin()
    status, _, log = other.end()
    assert status == 0 and "taken over" in log
    assert counts(store, number) == Counts(done=IMAGES)
    server.process.wait()


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_killed_server_of_another_machine_is_replaced_when_it_is_silent(
    database, weights, tmp_path
) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path, 5)
    steal(store, number)
    server = Server(place, weights, number, "b", 1.0)
    started = time.monotonic()
    server.begin()
    status, inspected, log = server.end()
    assert time.monotonic() - started >= 1.0
    assert (status, inspected) == (0, [5]) and "taken over" in log


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_server_that_was_stopped_notices_that_it_lost_the_batch(
    database, weights, tmp_path
) -> None:
    place = Place(tmp_path, database)
    store = place.open()
    number = new_batch(store, weights, tmp_path, 40)
    sleeper = Server(place, weights, number, "a", 1.0, slow=0.5)
    sleeper.begin()
    assert sleeper.until_it_inspects() == 32
    sleeper.process.send_signal(signal.SIGSTOP)
    other = Server(place, weights, number, "b", 1.0)
    other.begin()
    status, inspected, _ = other.end()
    assert (status, sum(inspected)) == (0, 40)
    before = {row.id: row.at for row in done_rows(store, number)}
    sleeper.process.send_signal(signal.SIGCONT)
    status, inspected, log = sleeper.end()
    assert (status, inspected) == (0, []) and "taken over" in log
    assert {row.id: row.at for row in done_rows(store, number)} == before
    assert batch_row(store, number).state == State.DONE
