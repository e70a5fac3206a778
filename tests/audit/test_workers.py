"""Shared work: in order, never far ahead, and with its errors."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

import pytest

from defectvision.audit.workers import AHEAD, Workers
from tests.stand_ins.processes import all_ended, running


def square(folder: str, number: int) -> tuple[int, int]:
    Path(folder, str(number)).touch()
    if number == 13:
        raise ValueError("thirteen")
    return os.getpid(), number**2


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 2])
def test_results_come_in_order_and_no_work_runs_far_ahead(count: int, tmp_path: Path) -> None:
    # a thread beside them, as a server has
    stop = threading.Event()
    threading.Thread(target=stop.wait, daemon=True).start()
    calls = [(str(tmp_path), n) for n in range(100, 140)]
    with Workers(count) as workers:
        results = workers.map(square, calls)
        first = next(results)
        time.sleep(0.3)
        begun = len(list(tmp_path.iterdir()))
        assert begun <= max(1, AHEAD * count)
        rest = list(results)
    stop.set()
    assert [value for _, value in (first, *rest)] == [n**2 for _, n in calls]
    processes = {pid for pid, _ in (first, *rest)}
    assert (os.getpid() in processes) == (count < 2)


@pytest.mark.parametrize("count", [0, 2])
def test_what_goes_wrong_in_a_piece_of_work_is_raised(count: int, tmp_path: Path) -> None:
    with (
        Workers(count) as workers,
        pytest.raises(ValueError, match="thirteen"),
    ):
        list(workers.map(square, [(str(tmp_path), 13)]))


def fragile(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


@pytest.mark.slow
def test_a_piece_of_work_that_ends_its_process_costs_no_other_one() -> None:
    with Workers(2) as workers:
        found = list(workers.map(fragile, [(n,) for n in range(20)], lambda number: -number))
        assert found == [-5 if n == 5 else n**2 for n in range(20)]
        assert list(workers.map(fragile, [(6,)])) == [36]


@pytest.mark.slow
def test_work_that_ends_its_process_is_an_error_where_nobody_answers_for_it() -> None:
    with Workers(2) as workers, pytest.raises(BrokenProcessPool):
        list(workers.map(fragile, [(n,) for n in range(20)]))


OWNER = """
import sys, time
from defectvision.audit.workers import Workers
import os
with Workers(2) as workers:
    pids = set()
    while len(pids) < 2:
        pids |= set(workers.map(os.getpid, [()] * 8))
    print(*pids, flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_no_worker_outlives_the_process_it_works_for() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    workers = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(workers) == 2 and all(map(running, workers))
    owner.kill()
    owner.wait()
    assert all_ended(workers), "a worker waits for a process that is gone"


def test_no_worker_runs_the_page_that_asked(tmp_path: Path, monkeypatch) -> None:
    """Streamlit makes the script of a page the main module while it runs."""
    page, ran = tmp_path / "page.py", tmp_path / "ran"
    page.write_text(f"open({str(ran)!r}, 'w')")
    main = ModuleType("__main__")
    main.__file__ = str(page)
    monkeypatch.setitem(sys.modules, "__main__", main)
    with Workers(2) as workers:
        assert [value for _, value in workers.map(square, [(str(tmp_path), 2)])] == [4]
    assert not ran.exists()
