"""A set that is opened in the background: joined, crashed, cancelled, gone on with, never left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.audit import background
from defectvision.audit.background import Look, Opening, State, open_in_background
from defectvision.audit.forecast import Progress, Step
from defectvision.audit.study import Stage, study
from defectvision.data.synthetic.samples import draw
from defectvision.limits import PIXELS
from tests.stand_ins.processes import all_ended, below, measuring, running

IMAGES = 150


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawings")
    for i in range(IMAGES):
        label = "ok" if i % 3 else "def"
        (root / label).mkdir(exist_ok=True)
        image = draw("casting", label, np.random.default_rng(i), 200)
        cv2.imwrite(str(root / label / f"{i}.png"), image)
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cache"
    for opening in list(background._running.values()):
        opening.cancel()
        opening.ended.wait(20)


def until(opening: Opening, holds: Callable[[Look], bool], seconds: float = 120) -> Look:
    deadline = time.monotonic() + seconds
    while not holds(opening.now):
        assert time.monotonic() < deadline, opening.now
        assert opening.now.state is State.RUNNING, opening.now.problem
        time.sleep(0.02)
    return opening.now


def reading(look: Look) -> bool:
    at = look.progress
    return at is not None and at.step is Step.READ and at.done > 0


@pytest.mark.slow
def test_it_is_the_same_study_in_stages_by_one_process_for_all(drawings: Path, cache: Path) -> None:
    opening = open_in_background(drawings, cache, PIXELS)
    assert opening.labelled.wait(20)
    look = opening.now
    assert look.study is not None and look.study.stage is Stage.LABELS
    assert look.state is State.RUNNING and len(look.study.catalog) == IMAGES
    seen: list[Stage] = []
    joined = open_in_background(drawings, cache, PIXELS)
    assert joined is opening
    until(opening, reading)
    (process,) = measuring(os.getpid())
    while not opening.ended.wait(0.05):
        found = opening.now.study
        if found is not None and found.stage not in seen:
            seen.append(found.stage)
    assert seen == sorted(seen) and Stage.PICTURES in seen
    found = opening.now.study
    assert opening.now.state is State.DONE and found is not None
    assert found.image_set is look.study.image_set
    once = study(drawings, cache, PIXELS)
    assert once.from_cache and once.groups == found.groups
    assert once.pictures["path"].tolist() == found.pictures["path"].tolist()
    assert all_ended([process])
    again = open_in_background(drawings, cache, PIXELS)
    assert again is not opening and again.labelled.wait(20)
    assert again.now.state is State.DONE  # at once, without a process


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.soak)]
)
def test_a_crash_is_said_in_words_and_the_next_try_goes_on(
    drawings: Path, cache: Path, number: signal.Signals
) -> None:
    opening = open_in_background(drawings, cache, PIXELS)
    until(opening, lambda look: reading(look) and look.progress.done >= 48)
    (process,) = measuring(os.getpid())
    workers = below(process)
    os.kill(process, number)
    assert opening.ended.wait(20)
    look = opening.now
    assert look.state is State.FAILED and "open the set again" in look.problem
    assert ("memory" in look.problem) == (number is signal.SIGKILL)
    assert look.study is not None and look.study.stage is Stage.LABELS  # and still to be seen
    assert all_ended(workers)
    again = open_in_background(drawings, cache, PIXELS)
    begun = until(again, lambda look: look.progress is not None and look.progress.step is Step.READ)
    assert begun.progress is not None and begun.progress.done >= 48
    assert again.ended.wait(180) and again.now.state is State.DONE
    assert again.now.study is not None and len(again.now.study.pictures) == IMAGES


@pytest.mark.slow
def test_cancel_ends_the_work_and_another_opening_goes_on(drawings: Path, cache: Path) -> None:
    opening = open_in_background(drawings, cache, PIXELS)
    until(opening, reading)
    processes = below(os.getpid())
    opening.cancel()
    again = open_in_background(drawings, cache, PIXELS)  # without waiting
    assert again is not opening
    assert opening.ended.wait(5) and opening.now.state is State.CANCELLED
    assert not opening.now.problem
    assert all_ended([pid for pid in measuring(os.getpid()) if pid in processes])
    assert again.ended.wait(180) and again.now.state is State.DONE


@pytest.mark.slow
def test_what_was_cancelled_before_it_began_never_begins(drawings: Path, cache: Path) -> None:
    for _ in range(background.AT_ONCE):
        assert background._turns.acquire(timeout=1)
    try:
        opening = open_in_background(drawings, cache, PIXELS)
        until(opening, lambda look: look.queued)
        assert measuring(os.getpid()) == []
        opening.cancel()
        assert opening.ended.wait(5) and opening.now.state is State.CANCELLED
    finally:
        for _ in range(background.AT_ONCE):
            background._turns.release()


@pytest.mark.slow
def test_a_process_that_is_heard_no_more_is_ended(
    drawings: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "SILENT_SECONDS", 10.0)  # starting may take as long
    opening = open_in_background(drawings, cache, PIXELS)
    until(opening, reading)
    (process,) = measuring(os.getpid())
    stopped = [process, *below(process)]
    os.kill(process, signal.SIGSTOP)
    assert opening.ended.wait(60)
    assert opening.now.state is State.FAILED and "Nothing was heard" in opening.now.problem
    assert all_ended(stopped)


def test_a_set_that_cannot_be_opened_says_why(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty").mkdir()
    opening = open_in_background(tmp_path / "empty", cache, PIXELS)
    assert opening.ended.wait(20)
    assert opening.now.state is State.FAILED and "no image in it" in opening.now.problem
    assert opening.now.study is None


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(
    drawings: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    opening = open_in_background(drawings, tmp_path / "file" / "cache", PIXELS)
    assert opening.ended.wait(60)
    assert opening.now.state is State.FAILED
    assert "file" in opening.now.problem and "DEFECTVISION_CACHE" in opening.now.problem


SERVER = """
import signal, sys, time
from pathlib import Path
# What starts the tests in the background may have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from defectvision.audit.background import open_in_background
from defectvision.limits import PIXELS
opening = open_in_background(Path(sys.argv[1]), Path(sys.argv[2]), PIXELS)
while opening.now.progress is None or not opening.now.progress.done:
    time.sleep(0.05)
print("measuring", flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    ["killed", *(pytest.param(e, marks=pytest.mark.soak) for e in ("interrupted", "by itself"))],
)
def test_the_work_ends_with_the_server_however_that_ends(
    drawings: Path, cache: Path, end: str
) -> None:
    seconds = "0" if end == "by itself" else "600"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(drawings), str(cache), seconds],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    processes: list[int] = []
    while not processes:
        processes = below(server.pid)
        assert server.poll() is None
    assert server.stdout.readline() == "measuring\n"
    processes = below(server.pid) or processes
    if end == "killed":
        server.kill()
    elif end == "interrupted":
        server.send_signal(signal.SIGINT)
    server.wait(20)
    assert all_ended(processes)
    assert not any(map(running, processes))


def test_the_time_left_runs_down_and_is_never_less_than_nothing() -> None:
    at = Progress(Step.MAP, 0, 10, 0.5, left=10.0)
    assert Look(progress=at, told=time.monotonic() - 4).left == pytest.approx(6, abs=0.5)
    assert Look(progress=at, told=time.monotonic() - 11).left is None
    assert Look().left is None
