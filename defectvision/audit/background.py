"""Sets that are opened in the background: each by a process of its own, for all who ask for it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from enum import Enum, auto
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from threading import BoundedSemaphore, Event, Lock, Thread

from defectvision.audit.forecast import Progress, Step
from defectvision.audit.measuring import Order, Problem
from defectvision.audit.study import Stage, Study, known_study, opened_study
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import ImageSet, open_set
from defectvision.words import duration, why_ended

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "defectvision.audit"
# What a process leaves that is ended early is cleared away; the log need not call that a fault.
UNTIDY = "ignore:resource_tracker"
AT_ONCE = 2  # sets that are measured at the same time; others wait
TURN_SECONDS = 0.2
SILENT_SECONDS = 900.0  # longer than any piece of work takes


class State(Enum):
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


@dataclass(frozen=True)
class Look:
    """What is known of a set at one moment: `study` up to its stage (None while its labels are
    read), `progress` as of `told` (`time.monotonic`), whether the work is `queued` behind that on
    other sets, and what went wrong, with the remedy."""

    state: State = State.RUNNING
    study: Study | None = None
    progress: Progress | None = None
    told: float = 0.0
    queued: bool = False
    problem: str = ""

    @property
    def section(self) -> tuple[State, Stage | None]:
        """Changes when there is more to show than progress."""
        return self.state, self.study.stage if self.study else None

    @property
    def left(self) -> float | None:
        """Seconds until everything is found; None while that cannot be told."""
        if self.progress is None or self.progress.left is None:
            return None
        rest = self.progress.left - (time.monotonic() - self.told)
        return rest if rest > 0 else None


class Opening:
    """One set that is being opened, or was. `now` may be read from any thread."""

    def __init__(self, path: Path, cache: Path, limit_pixels: int) -> None:
        self.path, self.cache, self.limit_pixels = path, cache, limit_pixels
        self.now = Look()
        self.labelled, self.ended = Event(), Event()
        self._cancelled = Event()
        self._process: subprocess.Popen[bytes] | None = None

    def cancel(self) -> None:
        """End the work, for all who look; what was measured stays in the cache."""
        self._cancelled.set()
        if self._process is not None:
            self._process.kill()

    def run(self) -> None:
        """Open the set, to the end or to what prevents it."""
        try:
            self._open()
        except (CatalogError, OSError) as error:
            self._end(State.FAILED, _in_words(error, self.path))
        except Exception as error:  # a fault of ours must not leave a page that waits for ever
            log.exception("%s was not opened", self.path)
            self._end(State.FAILED, f"{self.path}: {type(error).__name__}: {error}. {LOG}")
        finally:
            self.labelled.set()
            self.ended.set()

    def _open(self) -> None:
        image_set = open_set(self.path, self.limit_pixels)
        found = known_study(image_set, self.cache)
        self.now = Look(State.DONE if found else State.RUNNING, found or opened_study(image_set))
        self.labelled.set()
        if found is None:
            while not self.cancelled:
                if _turns.acquire(timeout=TURN_SECONDS):
                    try:
                        self._measure(image_set)
                    finally:
                        _turns.release()
                    break
                self.now = replace(self.now, queued=True)
        if self.now.state is State.RUNNING:
            self._end(State.CANCELLED if self.cancelled else State.DONE)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def _end(self, state: State, problem: str = "") -> None:
        self.now = replace(self.now, state=state, progress=None, problem=problem)

    def _measure(self, image_set: ImageSet) -> None:
        here, there = Pipe()
        with here:
            with there:
                # Its own session: Ctrl+C in the server's terminal is for the server, with which
                # the process ends because its end of the pipe closes.
                self._process = subprocess.Popen(
                    [sys.executable, "-m", PROGRAM, str(there.fileno())],
                    pass_fds=[there.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONWARNINGS": UNTIDY},
                    start_new_session=True,
                )
            if self.cancelled:
                self._process.kill()
            try:
                here.send(Order(image_set, self.path, self.cache))
                silent = self._listen(here, image_set)
            except (EOFError, OSError):
                silent = False
            self._process.kill()
        status = self._process.wait()
        if self.now.state is State.RUNNING and not self.cancelled:
            self._end(State.FAILED, SILENT if silent else _broke_down(status))

    def _listen(self, here: Connection, image_set: ImageSet) -> bool:
        """Take what the process says until all is found. True where it fell silent; raises EOFError
        where it ended."""
        while True:
            progress = self.now.progress
            waits = progress is not None and progress.step is Step.WAIT
            if not here.poll(None if waits else SILENT_SECONDS):
                return True
            said = here.recv()
            if isinstance(said, Progress):
                self.now = replace(self.now, progress=said, told=time.monotonic())
            elif isinstance(said, Problem):
                self._end(State.FAILED, said.text)
                return False
            else:
                self.now = replace(self.now, study=Study(image_set, **said))
                if said["stage"] is Stage.COPIES:
                    self._end(State.DONE)
                    return False


LOG = "The server's log says more."
KEPT = "What was measured is kept: open the set again to go on from there."
SILENT = (
    f"Nothing was heard of the process that measures this set for {duration(SILENT_SECONDS)}, so "
    f"it was ended. Check that the folder can be read, a network drive above all. {KEPT}"
)


def _broke_down(status: int) -> str:
    why = why_ended(status, LOG[:-1])
    return f"The process that measures this set ended early: {why}. {KEPT}"


def _in_words(error: CatalogError | OSError, path: Path) -> str:
    if isinstance(error, CatalogError):
        return str(error)
    return f"{error.filename or path}: {error.strerror or error}"


_turns = BoundedSemaphore(AT_ONCE)
_running: dict[tuple[Path, Path, int], Opening] = {}
_lock = Lock()


def open_in_background(path: Path, cache: Path, limit_pixels: int) -> Opening:
    """Open a set by a process of its own, which goes on until all is found, until somebody cancels
    it or this process ends. Whoever asks for a set that is being opened gets the same opening."""
    asked = path.absolute(), cache.absolute(), limit_pixels
    with _lock:
        opening = _running.get(asked)
        if opening is not None and not opening.cancelled:
            return opening
        opening = _running[asked] = Opening(*asked)

    def work() -> None:
        try:
            opening.run()
        finally:
            with _lock:
                if _running.get(asked) is opening:
                    del _running[asked]

    Thread(target=work, name=f"opening {path.name}", daemon=True).start()
    return opening
