"""A program of the server's stands aside while something is inspected."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from defectvision.batch import keeper
from defectvision.batch.keeper import BUSY, FREE_SECONDS, HELD_SECONDS, IDLE, MOMENT, Pace
from defectvision.inference.activity import INSPECTIONS
from tests.stand_ins.processes import all_ended, below

# Writes as long as it runs, as does a program that it begins.
WRITING = """
import sys, time
with open(sys.argv[1], "wb", buffering=0) as told:
    while True:
        told.write(b".")
        time.sleep(0.002)
"""
BEGINNING = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", {WRITING!r}, sys.argv[2]])
{WRITING}
"""


def grown(files: list[Path], seconds: float) -> list[int]:
    """By how much each file grows within some time."""
    before = [file.stat().st_size for file in files]
    time.sleep(seconds)
    return [file.stat().st_size - size for file, size in zip(files, before, strict=True)]


@pytest.fixture
def writing(tmp_path) -> Iterator[tuple[subprocess.Popen[bytes], list[Path]]]:
    """A program that the keeper runs, and the files that grow while it and its child run."""
    files = [tmp_path / "program", tmp_path / "child"]
    words = [keeper.NO_LOCK, sys.executable, "-c", BEGINNING, *map(str, files)]
    process = subprocess.Popen(
        [sys.executable, "-m", keeper.__name__, *words],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    until = time.monotonic() + 20
    while not all(file.exists() and file.stat().st_size for file in files):
        assert time.monotonic() < until
        time.sleep(0.05)
    yield process, files
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_nothing_runs_while_something_is_inspected(writing) -> None:
    process, files = writing
    with keeper.standing_aside(process):
        with INSPECTIONS.under_way():
            time.sleep(0.2)  # until it is told, on a machine with other work
            assert grown(files, 0.2) == [0, 0]
            with INSPECTIONS.under_way():
                pass
            assert grown(files, MOMENT + 0.2) == [0, 0]
        time.sleep(MOMENT + 0.5)
        assert min(grown(files, 0.5)) > 0
    with INSPECTIONS.under_way():  # nobody tells it any more
        time.sleep(0.2)
        assert min(grown(files, 0.5)) > 0


def test_what_is_stopped_ends_with_the_server(writing) -> None:
    process, files = writing
    pids = [process.pid, *below(process.pid)]
    with keeper.standing_aside(process), INSPECTIONS.under_way():
        time.sleep(0.2)
        assert grown(files, 0.1) == [0, 0]
        process.stdin.close()  # as the server's end does
        assert process.wait(10) == -signal.SIGKILL
    assert len(pids) == 3 and all_ended(pids)


def test_what_has_ended_is_told_nothing(writing) -> None:
    process, _ = writing
    with keeper.standing_aside(process):
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with INSPECTIONS.under_way():
            pass


def test_where_there_is_no_end_of_images_it_has_a_small_share() -> None:
    pace, now, held, total = Pace(), 100.0, 0.0, 10 * (HELD_SECONDS + FREE_SECONDS)
    pace.step(now, BUSY)
    while now < 100 + total:
        now += 0.01
        pace.step(now, BUSY if int(now * 100) % 2 else IDLE)
        held += 0.01 * pace.held
    assert held / total == pytest.approx(HELD_SECONDS / (HELD_SECONDS + FREE_SECONDS), abs=0.01)


def test_it_goes_on_a_moment_after_the_last_image() -> None:
    pace = Pace()
    assert pace.step(10.0, BUSY) is True
    assert pace.step(10.1, IDLE) is None and pace.held
    assert pace.step(10.1 + 0.9 * MOMENT, None) is None
    assert pace.step(10.1 + 1.1 * MOMENT, None) is False
    assert pace.seconds is None, "it waits for the server's word"
    assert pace.step(11.0, BUSY) is True
