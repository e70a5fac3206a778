"""A line is learned by a process of its own: told while it runs, and never lost."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from defectvision.bundle.reader import load_bundle, read_line
from defectvision.limits import PIXELS
from defectvision.people import NotAllowedError, Role, in_role
from defectvision.store.database import Store
from defectvision.store.tables import AuditRow
from defectvision.web.new_line import training
from defectvision.web.new_line.photographs import Intake, leave_out
from defectvision.web.new_line.runs import Look, Run, State, new_run
from defectvision.web.new_line.training import (
    TrainingError,
    cancel,
    change,
    go_on,
    look_at,
    remove,
    start_training,
)
from tests.stand_ins.castings import casting
from tests.stand_ins.good_parts import in_the_way
from tests.stand_ins.processes import all_ended, below, command
from tests.stand_ins.server import ROOT
from tests.stand_ins.stores import new_store

pytestmark = pytest.mark.slow

TITLE, NAME = "Pump housings, left", "pump-housings-left"
PARTS = 24
ANNA, BEN = in_role("anna", Role.ENGINEER), in_role("ben", Role.INSPECTOR)
How = Callable[..., None]


@pytest.fixture
def how(monkeypatch: pytest.MonkeyPatch) -> How:
    """Says what the program does."""

    def say(**said: object) -> None:
        for name, value in in_the_way(**said).items():
            monkeypatch.setenv(name, value)

    say()
    return say


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs of a run that nobody has started."""
    run = new_run(tmp_path_factory.mktemp("taken"))
    files = [(f"IMG_{i}.png", casting("ok", i)) for i in range(PARTS)]
    Intake(files).take_in(run, PIXELS, lambda _done: None)
    return run.folder


@pytest.fixture
def run(taken: Path, tmp_path: Path, how: How) -> Iterator[Run]:
    made = new_run(tmp_path / "runs")
    shutil.copytree(taken, made.folder, dirs_exist_ok=True)
    yield made
    for other in list(training._ours.values()):
        other.kill()
        assert other.ended.wait(20)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def start(store: Store, run: Run, weights: Path, who=ANNA, title: str = TITLE) -> None:
    start_training(store, run, title, None, [], weights, who)


def until(run: Run, ready: Callable[[Look], bool], seconds: float = 60.0) -> Look:
    deadline = time.monotonic() + seconds
    while not ready(look := look_at(run)):
        assert time.monotonic() < deadline, look
        time.sleep(0.02)
    return look


def ended(run: Run) -> Look:
    return until(run, lambda look: look.state is not State.RUNNING)


def busy(run: Run, done: int = 2) -> Look:
    return until(run, lambda look: look.told is not None and look.told.done >= done)


def programs() -> list[int]:
    return [pid for pid in below(os.getpid()) if "good_parts" in command(pid)]


def test_it_tells_how_far_it_is_and_ends_with_a_line_to_inspect_with(
    store: Store, run: Run, weights: Path, how: How
) -> None:
    how(seconds=0.05)
    start(store, run, weights)
    look = busy(run)
    assert look.state is State.RUNNING and look.told is not None and look.order is not None
    assert (look.told.step, look.told.total) == ("remembering good parts", PARTS)
    assert 0 < look.told.share < 1 and look.left is not None and 0 < look.left < PARTS * 0.05
    assert (look.order.who, look.order.photographs) == ("anna", PARTS)
    names = json.loads((run.work / "names.json").read_text())
    assert names == run.photographs().names and "IMG_3.png" in names.values()
    (keeper, *_) = programs()
    assert os.getsid(keeper) != os.getsid(0)
    assert os.getpriority(os.PRIO_PROCESS, programs()[-1]) >= 10
    look = ended(run)
    assert look.state is State.DONE and look.outcome is not None
    assert look.outcome.parts == PARTS - 1 and "can be promised" in look.outcome.promise
    assert all_ended([keeper])
    assert read_line(weights / NAME).title == TITLE
    assert load_bundle(weights, NAME).bundle.name == look.outcome.bundle
    with store.reading() as session:
        row = session.scalars(select(AuditRow).where(AuditRow.line == NAME)).one()
    assert (row.who, row.what) == ("anna", "training started")
    assert row.details["photographs"] == PARTS and row.details["title"] == TITLE


def test_images_that_were_left_out_are_no_failure(
    store: Store, run: Run, weights: Path, how: How
) -> None:
    how(status=1)
    start(store, run, weights)
    look = ended(run)
    assert look.state is State.DONE and look.outcome is not None and look.outcome.left_out


def test_a_refusal_is_said_in_the_programs_words(
    store: Store, run: Run, weights: Path, how: How
) -> None:
    how(refuse="only 12 different parts. Add photographs of other parts")
    start(store, run, weights)
    look = ended(run)
    assert look.state is State.REFUSED
    assert look.words == "only 12 different parts. Add photographs of other parts"
    assert "note: read all" in run.log.read_text()
    change(run, ANNA)
    assert look_at(run).state is State.DRAFT and len(run.photographs().names) == PARTS
    how()
    start(store, run, weights, title="Another title")
    assert ended(run).state is State.DONE
    assert (weights / "another-title").is_dir()


def test_a_breakdown_is_told_from_its_log_and_the_next_try_goes_on(
    store: Store, run: Run, weights: Path, how: How
) -> None:
    how(break_at=9)
    start(store, run, weights)
    look = ended(run)
    assert look.state is State.FAILED
    assert "exit status 1" in look.words and "the memory is full" in look.words
    assert not (weights / NAME).exists()
    how(seconds=0.02)
    go_on(store, run, weights, ANNA)
    told = until(run, lambda look: look.told is not None and look.told.done >= 9).told
    assert told is not None
    assert ended(run).state is State.DONE
    assert len((run.work / "seen").read_text().splitlines()) == PARTS  # each once


@pytest.mark.parametrize("which", [0, 1], ids=["its keeper", "the program"])
def test_a_kill_leaves_nothing_behind_and_it_goes_on(
    store: Store, run: Run, weights: Path, how: How, which: int
) -> None:
    how(seconds=0.1)
    start(store, run, weights)
    busy(run, 3)
    processes = programs()
    os.kill(processes[which], signal.SIGKILL)
    look = ended(run)
    assert look.state is State.FAILED and "memory runs out" in look.words
    assert all_ended(processes)
    how()
    go_on(store, run, weights, ANNA)
    assert ended(run).state is State.DONE
    assert len((run.work / "seen").read_text().splitlines()) == PARTS


def test_cancel_ends_it_at_once_and_keeps_what_was_done(
    store: Store, run: Run, weights: Path, how: How
) -> None:
    how(seconds=0.1)
    start(store, run, weights)
    busy(run, 2)
    processes = programs()
    assert cancel(run, ANNA).wait(5)
    assert look_at(run).state is State.CANCELLED and all_ended(processes)
    with pytest.raises(TrainingError, match="not worked on"):
        cancel(run, ANNA)
    seen = (run.work / "seen").read_text()
    how()
    go_on(store, run, weights, ANNA)
    assert ended(run).state is State.DONE
    assert (run.work / "seen").read_text().startswith(seen)


def test_one_at_a_time_and_the_other_is_named(
    store: Store, run: Run, weights: Path, taken: Path, how: How
) -> None:
    how(seconds=0.1)
    start(store, run, weights)
    second = new_run(run.folder.parent)
    shutil.copytree(taken, second.folder, dirs_exist_ok=True)
    with pytest.raises(TrainingError, match=f"anna has '{TITLE}' learned now"):
        start(store, second, weights, title="Another")
    assert look_at(second).state is State.DRAFT
    for act in (remove, change):
        with pytest.raises(TrainingError, match="Cancel it first"):
            act(run, ANNA)
    cancel(run, ANNA).wait(5)
    how()
    start(store, second, weights, title="Another")
    assert ended(second).state is State.DONE
    remove(second, ANNA)
    assert not second.folder.exists() and (weights / "another").is_dir()


def test_suspects_can_be_left_out_and_the_line_learned_again(
    store: Store, run: Run, weights: Path
) -> None:
    start(store, run, weights)
    outcome = ended(run).outcome
    assert outcome is not None
    suspect = Path(outcome.suspects[0].path).name
    change(run, ANNA)
    leave_out(run, [suspect])
    start(store, run, weights)
    again = ended(run).outcome
    assert again is not None and again.images == PARTS - 1
    assert Path(again.suspects[0].path).name != suspect
    assert again.bundle == f"{outcome.bundle}-2"
    line = read_line(weights / NAME)
    assert (line.title, line.default_bundle) == (TITLE, outcome.bundle)


def test_a_run_that_goes_on_writes_over_no_bundle_that_was_finished_meanwhile(
    store: Store, run: Run, weights: Path, taken: Path, how: How
) -> None:
    how(break_at=9)
    start(store, run, weights)
    assert ended(run).state is State.FAILED
    second = new_run(run.folder.parent)
    shutil.copytree(taken, second.folder, dirs_exist_ok=True)
    how()
    start(store, second, weights, title=TITLE.upper())
    first = ended(second).outcome
    assert first is not None
    go_on(store, run, weights, ANNA)
    later = ended(run).outcome
    assert later is not None and later.bundle == f"{first.bundle}-2"
    line = read_line(weights / NAME)
    assert (line.title, line.default_bundle) == (TITLE.upper(), first.bundle)


def test_a_folder_of_the_server_is_learned_from_where_it_lies(
    store: Store, run: Run, weights: Path, taken: Path, tmp_path: Path
) -> None:
    shutil.copytree(taken / "images", tmp_path / "source" / "good")
    other = new_run(run.folder.parent)
    start_training(store, other, TITLE, tmp_path / "source", [tmp_path / "source"], weights, ANNA)
    look = ended(other)
    assert look.state is State.DONE and look.outcome is not None
    assert look.outcome.images == PARTS and list(other.images.iterdir()) == []


@pytest.mark.parametrize(
    ("title", "parts", "said"),
    [("", PARTS, "Give the line a title"), (TITLE, 19, "too few"), ("ポンプ", PARTS, "a to z")],
)
def test_what_cannot_be_is_refused_before_anything_begins(
    store: Store, run: Run, weights: Path, title: str, parts: int, said: str
) -> None:
    leave_out(run, list(run.photographs().names)[parts:])
    with pytest.raises(TrainingError, match=said):
        start(store, run, weights, title=title)
    assert look_at(run).state is State.DRAFT and programs() == []


def test_who_may_not_teach_changes_nothing(store: Store, run: Run, weights: Path, how: How) -> None:
    with pytest.raises(NotAllowedError, match="may not train"):
        start(store, run, weights, who=BEN)
    assert look_at(run).state is State.DRAFT
    how(seconds=0.1)
    start(store, run, weights)
    busy(run, 1)
    for act in (cancel, remove, change):
        with pytest.raises(NotAllowedError, match="may not train"):
            act(run, BEN)
    assert look_at(run).state is State.RUNNING


def test_without_torch_the_command_for_another_machine_is_named(
    store: Store, run: Run, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name)
    )
    with pytest.raises(TrainingError, match=f"train --data FOLDER --line {NAME} --recipe good"):
        start(store, run, weights)
    assert look_at(run).state is State.DRAFT


SERVER = """
import sys, time
from pathlib import Path
from defectvision.people import Role, in_role
from defectvision.store.database import open_store
from defectvision.web.new_line.runs import Run
from defectvision.web.new_line.training import look_at, start_training
store, folder, weights = map(Path, sys.argv[1:4])
run = Run(folder)
who = in_role("anna", Role.ENGINEER)
start_training(open_store(store), run, "Pump housings, left", None, [], weights, who)
while (look := look_at(run)).told is None or look.told.done < 3:
    time.sleep(0.02)
print("learning", flush=True)
time.sleep(float(sys.argv[4]))
"""


@pytest.mark.parametrize("end", ["killed", "terminated", "by itself"])
def test_it_ends_with_the_server_and_is_offered_to_go_on(
    store: Store, run: Run, weights: Path, how: How, end: str, tmp_path: Path
) -> None:
    how(seconds=0.1)
    words = [tmp_path / "store", run.folder, weights, 0 if end == "by itself" else 600]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *map(str, words)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None and server.stdout.readline() == "learning\n"
    if end != "by itself":
        processes = [pid for pid in below(server.pid) if "good_parts" in command(pid)]
        assert len(processes) == 2 and look_at(run).state is State.RUNNING  # seen from here, too
        with pytest.raises(TrainingError, match="another server"):
            cancel(run, ANNA)
        server.send_signal(signal.SIGKILL if end == "killed" else signal.SIGTERM)
        server.wait(20)
        assert all_ended(processes)
    server.wait(20)
    look = until(run, lambda look: look.state is not State.RUNNING)
    assert look.state is State.CUT_OFF and look.order is not None
    seen = (run.work / "seen").read_text()
    how()
    go_on(store, run, weights, ANNA)
    assert ended(run).state is State.DONE
    assert (run.work / "seen").read_text().startswith(seen) and seen


@pytest.mark.parametrize("broken", ["{", "[]", '{"line": 7}'])
def test_a_result_that_cannot_be_read_is_no_line(
    store: Store, run: Run, weights: Path, broken: str
) -> None:
    start(store, run, weights)
    assert ended(run).state is State.DONE
    (run.work / "result.json").write_text(broken)
    (run.work / "progress.json").write_text(broken)
    assert look_at(run).outcome is None
    assert json.loads((run.folder / "end.json").read_text())["ending"] == "done"
