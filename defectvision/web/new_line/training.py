"""Learn a line from photographs of good parts, by a process of its own: one at a time."""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread

import yaml

from defectvision import atomic
from defectvision.batch import keeper
from defectvision.bundle.reader import BundleError, read_line
from defectvision.bundle.writer import retitle
from defectvision.people import Action, Person, needs
from defectvision.report.taught_set import Labelled, write_folder
from defectvision.store.database import Store
from defectvision.store.tables import AuditRow
from defectvision.web.new_line.enough import LEAST_GOOD, Known, memory_in, too_few
from defectvision.web.new_line.naming import (
    bundle_refusal,
    free_name,
    line_name,
    refusal,
)
from defectvision.web.new_line.photographs import allowed_folder
from defectvision.web.new_line.recipe import RECIPE, good_parts_recipe
from defectvision.web.new_line.runs import (
    LOCK,
    End,
    Ending,
    Look,
    Order,
    Run,
    State,
    find_run,
    running_in,
)
from defectvision.words import as_text, counted, why_ended

log = logging.getLogger(__name__)
ENDING_SECONDS = 5.0
LAST_LINES = 4  # of the log, where the program broke down
LOG = "The log of the run says more"
KEPT = "What was done is kept: try again to go on from there."


class TrainingError(RuntimeError):
    """Nothing was started, or ended; the message says why and what to do."""


class _Process:
    """The process that works on a run for this server."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.cancelled, self.ended = Event(), Event()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


_ours: dict[Path, _Process] = {}
_lock = Lock()


def look_at(run: Run) -> Look:
    """What is known of a run now."""
    ours = _ours.get(run.folder)  # first: once it is gone, how the run ended is kept
    look = run.look()
    if look.state is State.CUT_OFF and ours is not None:  # it ended, and that is being kept
        ours.ended.wait(ENDING_SECONDS)
        look = run.look()
    return look


def lacks_torch() -> bool:
    """Whether this installation only inspects."""
    return importlib.util.find_spec("torch") is None


@needs(Action.TEACH)
def start_training(
    store: Store,
    run: Run,
    title: str,
    folder: Path | None,
    roots: Iterable[Path],
    weights: Path,
    who: Person,
    keep_pictures: bool = False,
) -> None:
    """Learn a line from the run's photographs, or from those of a `folder` below one of `roots`,
    small pictures of which the bundle carries if `keep_pictures`; told in the audit trail. Of a
    line that is there, it becomes another bundle beside those that it has, in force for nobody.
    Raises TrainingError, data.roots.NotAllowedError and OSError."""
    title = " ".join(title.split())
    photographs = len(run.photographs().names)
    if folder is not None:
        folder, photographs = allowed_folder(folder, roots)
    if said := refusal(title, weights):
        raise TrainingError(said)
    if photographs < LEAST_GOOD:
        raise TrainingError(
            f"{counted(photographs, 'photograph is', 'photographs are')} too few: at least "
            f"{LEAST_GOOD} of different good parts are needed. Add some"
        )
    line, recipe = line_name(title), good_parts_recipe()
    order = Order(
        title=title,
        line=line,
        folder=folder,
        photographs=photographs,
        who=who.kept_as,
        started=datetime.now(UTC),
        keep_pictures=keep_pictures,
        bundle=free_name(recipe["architecture"], weights / line),
    )
    if keep_pictures:
        recipe["memory"]["keep_pictures"] = True
        atomic.write_text(run.recipe, yaml.safe_dump(recipe, sort_keys=False))
    details = {"title": title, "photographs": photographs, "recipe": RECIPE}
    details |= {"bundle": order.bundle, "keep_pictures": keep_pictures}
    told = AuditRow(who=order.who, what="training started", line=order.line, details=details)
    _begin(store, run, order, weights, told)


@needs(Action.TEACH)
def start_teaching(
    store: Store, run: Run, number: int, bundle: str, recipe: str, weights: Path, who: Person
) -> None:
    """Learn `bundle` from what is labelled of a labelled set and not held back, as `recipe` (YAML)
    says; told in the audit trail. Where it remembers good parts, a defect that too few parts show
    is learned as a deviation without a name. Raises TrainingError, StoreError and OSError."""
    learned, held = (Labelled.of(store, number, held=kept) for kept in (False, True))
    line = learned.line
    if said := bundle_refusal(line, bundle, weights):
        raise TrainingError(said)
    memory = memory_in(recipe)
    if memory is not None:
        known, names = Known.of(learned), bool(memory.get("names"))
        learned, said = learned.naming(known.named if names else ()), known.lacking(names)
    else:
        said = too_few(learned)
    if said:
        raise TrainingError(said)
    with _lock:
        for images, folder in ((learned, run.learned), (held, run.held)):
            shutil.rmtree(folder, ignore_errors=True)
            write_folder(images, folder)
    atomic.write_text(run.recipe, recipe)
    order = Order(
        title=line.title,
        line=line.name,
        photographs=len(learned.rows),
        who=who.kept_as,
        started=datetime.now(UTC),
        labelled_set=number,
        bundle=bundle,
    )
    details = {"title": line.title, "labelled_set": number, "bundle": bundle, "recipe": recipe}
    details |= {"images": len(learned.rows), "held_back": len(held.rows)}
    told = AuditRow(who=order.who, what="training started", line=order.line, details=details)
    _begin(store, run, order, weights, told)


@needs(Action.TEACH)
def go_on(store: Store, run: Run, weights: Path, who: Person) -> None:
    """Go on with a run that was cut off, cancelled or failed, under another bundle's name where its
    own was taken meanwhile. Raises TrainingError and OSError."""
    order = run.order()
    if order is None:
        raise TrainingError("This run was removed. Start another one")
    bundle = free_name(order.bundle or good_parts_recipe()["architecture"], weights / order.line)
    changed = {"who": who.kept_as, "started": datetime.now(UTC), "bundle": bundle}
    order = order.model_copy(update=changed)
    details = {"title": order.title, "bundle": bundle}
    told = AuditRow(who=order.who, what="training went on", line=order.line, details=details)
    _begin(store, run, order, weights, told)


@needs(Action.TEACH)
def cancel(run: Run, who: Person) -> Event:
    """End the work on a run; what was done is kept. Returns what is set when it has ended. Raises
    TrainingError."""
    ours = _ours.get(run.folder)
    if ours is None:
        raise TrainingError(
            "This run is not worked on by this server. If another server shares its store, cancel "
            "it there"
        )
    log.info("%s cancels the training of %s", who.kept_as, run.id)
    ours.cancelled.set()
    ours.kill()
    return ours.ended


@needs(Action.TEACH)
def remove(run: Run, who: Person) -> None:
    """Remove a run with its photographs; a line that it made stays. Raises TrainingError."""
    _refuse_running(run)
    log.info("%s removes the run %s", who.kept_as, run.id)
    shutil.rmtree(run.folder, ignore_errors=True)


@needs(Action.TEACH)
def change(run: Run, who: Person) -> None:
    """Let a run that ended be ordered anew, with its photographs. Raises TrainingError."""
    _refuse_running(run)
    log.info("%s changes the run %s", who.kept_as, run.id)
    run.become_draft()


def _refuse_running(run: Run) -> None:
    if running_in(run.folder.parent) == run.id:
        raise TrainingError("This run is being worked on. Cancel it first")


def _begin(store: Store, run: Run, order: Order, weights: Path, told: AuditRow) -> None:
    if lacks_torch():
        raise TrainingError(without_torch(order.line, order.labelled_set is not None))
    with _lock, (run.folder.parent / LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(other_runs(run.folder.parent)) from None
        lock.truncate(0)
        lock.write(run.id)
        lock.flush()
        with store.session() as session:
            session.add(told)
        run.keep(order)
        run.forget_end()
        run.work.mkdir(exist_ok=True)
        run.tell_names()
        begun = run.log.stat().st_size if run.log.is_file() else 0
        ours = _ours[run.folder] = _Process(_started(run, order, weights, lock.fileno()))
    follow = (run, order, weights, ours, begun)
    Thread(target=_follow, args=follow, name=f"training {run.id}", daemon=True).start()


def _started(run: Run, order: Order, weights: Path, lock: int) -> subprocess.Popen[bytes]:
    own = order.labelled_set is not None or order.keep_pictures
    recipe = run.recipe.absolute() if own else RECIPE
    words = ["train", "--data", run.data.absolute(), "--line", order.line, "--recipe", recipe]
    words += ["--bundle", order.bundle]
    words += ["--weights", weights.absolute(), "--run", run.work.absolute(), "--json"]
    with run.log.open("ab") as told:
        return keeper.start(list(map(str, words)), lock, told)


def _follow(run: Run, order: Order, weights: Path, ours: _Process, begun: int) -> None:
    """Wait until it has ended, and keep how."""
    with keeper.standing_aside(ours.process):
        status = ours.process.wait()
    ours.kill()  # what it may have left running
    try:
        if run.result() is not None and order.labelled_set is None:
            with suppress(BundleError, OSError):  # the program made a new line's title of its name
                if read_line(weights / order.line).default_bundle == order.bundle:
                    retitle(weights / order.line, order.title)
        with suppress(FileNotFoundError):  # removed meanwhile
            run.keep(_ended(run, status, ours.cancelled.is_set(), begun))
    except OSError:
        log.exception("how the run %s ended was not kept", run.id)
    finally:
        with _lock:
            _ours.pop(run.folder, None)
        ours.ended.set()


def _ended(run: Run, status: int, cancelled: bool, begun: int) -> End:
    if status in (0, 1) and run.result() is not None:
        return End(ending=Ending.DONE)
    if cancelled:
        return End(ending=Ending.CANCELLED)
    said = last_words(run.log, begun)
    if status == 2 and said:
        return End(ending=Ending.REFUSED, words=said)
    why = why_ended(status, f"{LOG}: {said}" if said else LOG)
    return End(ending=Ending.FAILED, words=f"The process ended early: {why}. {KEPT}")


def last_words(file: Path, begun: int) -> str:
    """What a program said last in its log, from byte `begun` on: its error, else the last lines."""
    with file.open("rb") as told:
        told.seek(begun)
        text = as_text(told.read().decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if line.startswith("error: ")]
    if not errors:
        return " ".join(lines[-LAST_LINES:])
    return " ".join(lines[errors[-1] :]).removeprefix("error: ")


def other_runs(runs: Path) -> str:
    """Whose training runs, and of which line."""
    other = find_run(runs, running_in(runs) or "")
    order = other.order() if other else None
    if order is None:
        return "Another line is being learned. Wait until that is done"
    return f"{order.who} has '{order.title}' learned now. Wait until that is done, or cancel it"


def without_torch(line: str, labelled: bool = False) -> str:
    """What to do where the installation only inspects."""
    data, recipe = ("SET", "RECIPE.yaml") if labelled else ("FOLDER", RECIPE)
    return (
        "This installation inspects, and cannot learn: it was made from requirements-serve.txt, "
        f"without torch. On a machine with requirements.txt, run: defectvision train --data {data} "
        f"--line {line} --recipe {recipe}; then import the bundle on the Lines page"
    )
