"""The folder of a run that makes a line, and what is known of the run at one moment.

Below the folder of all runs: `<run>/images/` (uploaded photographs, under names made from their
content), `photographs.json` (their own names), `set/` and `held/` (a labelled set as it was then:
what is learned from, and what was held back), `recipe.yaml` (for it), `order.json` (what was asked
for), `work/` (of the program: the photographs' own names, what it keeps to go on, progress and
result), `log.txt`, `end.json`.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from defectvision import atomic

ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")
HISTORY = "metrics.jsonl"
LOCK = "running"  # held by the process that works, and says on which run
ABANDONED_SECONDS = 48 * 3600.0  # after which photographs that nobody made a line of are removed
C = TypeVar("C", bound=BaseModel)


class Content(BaseModel):
    """Content of a file of a run; what a later version adds is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Photographs(Content):
    """What was uploaded: `names` by file in `images/`, `refused` in words, `again` the names of
    exact copies, which count once."""

    names: Mapping[str, str] = {}
    refused: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


class Order(Content):
    """What was asked for. folder: on the server; None for what was uploaded. keep_pictures: whether
    the bundle carries small pictures of the good parts. labelled_set: its number, where one is
    learned from; bundle: what is made; empty in an order that was kept before it was told."""

    title: str
    line: str
    folder: Path | None = None
    photographs: int
    who: str
    started: datetime
    keep_pictures: bool = False
    labelled_set: int | None = None
    bundle: str = ""


class Told(Content):
    """How far the program is: `done` of `total` (0 where not known) of a step, and the seconds
    that are left of it, `left_s`, where that is known."""

    step: str
    done: int = Field(0, ge=0)
    total: int = Field(0, ge=0)
    left_s: float | None = Field(None, ge=0)

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0


class Suspect(Content):
    """A photograph that lies far from the rest, and why it is thought so."""

    path: str
    words: str = ""


class Outcome(Content):
    """What the program made."""

    line: str
    bundle: str
    images: int
    parts: int
    promise: str
    suspects: tuple[Suspect, ...] = ()
    left_out: tuple[str, ...] = ()


class Example(Content):
    """A validation image as the model saw it: its picture's file, what it is and what was said of
    it, in words."""

    file: str = Field(pattern=r"^[\w-]+\.png$")
    name: str
    truth: str
    said: str
    right: bool
    probability: float


class Snapshot(Content):
    """Examples after an epoch; masks: whether what was drawn stands beside what the model draws."""

    epoch: int
    masks: bool
    images: tuple[Example, ...]


class Snapshots(RootModel[tuple[Snapshot, ...]]):
    """The first one first."""


class State(Enum):
    DRAFT = auto()  # photographs are gathered
    RUNNING = auto()
    CUT_OFF = auto()  # the server ended while it worked
    DONE = auto()
    REFUSED = auto()
    FAILED = auto()
    CANCELLED = auto()


class Ending(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class End(Content):
    """How it ended, and `words` on why where something is wrong."""

    ending: Ending
    words: str = ""


@dataclass(frozen=True)
class Look:
    """What is known at one moment. left: s of the step; None while that cannot be told."""

    state: State
    order: Order | None = None
    told: Told | None = None
    left: float | None = None
    outcome: Outcome | None = None
    words: str = ""


@dataclass(frozen=True)
class Run:
    """One run, by its folder."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def images(self) -> Path:
        return self.folder / "images"

    @property
    def learned(self) -> Path:
        return self.folder / "set"

    @property
    def held(self) -> Path:
        return self.folder / "held"

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def data(self) -> Path:
        """The folder of images that is learned from."""
        order = self.order()
        if order is not None and order.labelled_set is not None:
            return self.learned
        return self.images if order is None or order.folder is None else order.folder

    def order(self) -> Order | None:
        return _read(self.folder / "order.json", Order)

    def photographs(self) -> Photographs:
        return _read(self.folder / "photographs.json", Photographs) or Photographs()

    def keep(self, content: Order | Photographs | End) -> None:
        """Write a file of the run; raises OSError."""
        name = {Order: "order", Photographs: "photographs", End: "end"}[type(content)]
        atomic.write_text(self.folder / f"{name}.json", content.model_dump_json(indent=1))

    def tell_names(self) -> None:
        """Let the program know the names that the uploaded photographs came with; raises
        OSError."""
        names = json.dumps(dict(self.photographs().names), ensure_ascii=False)
        atomic.write_text(self.work / "names.json", names)

    def look(self) -> Look:
        order = self.order()
        if order is None:
            return Look(State.DRAFT)
        end = _read(self.folder / "end.json", End)
        if end is not None:
            outcome = None
            if end.ending is Ending.DONE:
                outcome = _read(self.work / "result.json", Outcome)
            return Look(State[end.ending.name], order, outcome=outcome, words=end.words)
        if running_in(self.folder.parent) != self.id:
            return Look(State.CUT_OFF, order)
        told = _read(self.work / "progress.json", Told)
        return Look(State.RUNNING, order, told, self._left(told))

    def learning(self) -> Path | None:
        """The folder of what is learned now, or was last: of the whole, or of one fold; None before
        the first epoch has ended."""
        folders = (self.work, *self.work.glob("fold-*"))
        found = [folder for folder in folders if (folder / HISTORY).is_file()]
        return max(found, key=lambda folder: (folder / HISTORY).stat().st_mtime, default=None)

    def snapshots(self, folder: Path) -> tuple[Snapshot, ...]:
        """What `folder` shows of validation images; none where it cannot be read."""
        found = _read(folder / "examples.json", Snapshots)
        return found.root if found else ()

    def result(self) -> Outcome | None:
        """What the program wrote at its end; None where it has not, or not so that it can be
        read."""
        return _read(self.work / "result.json", Outcome)

    def forget_end(self) -> None:
        """Be as if it had not ended: what the program kept to go on stays."""
        for file in (self.folder / "end.json", self.work / "result.json"):
            file.unlink(missing_ok=True)

    def become_draft(self) -> None:
        """Be as before it was ordered; the photographs stay."""
        (self.folder / "order.json").unlink(missing_ok=True)
        self.forget_end()
        shutil.rmtree(self.work, ignore_errors=True)

    def _left(self, told: Told | None) -> float | None:
        if told is None or told.left_s is None:
            return None
        try:
            since = time.time() - (self.work / "progress.json").stat().st_mtime
        except OSError:
            return None
        rest = told.left_s - max(0.0, since)
        return rest if rest > 0 else None


def new_run(runs: Path) -> Run:
    """A run of which nothing is known yet. Photographs that were gathered for one long ago, and
    never used, are removed. Raises OSError."""
    runs.mkdir(parents=True, exist_ok=True)
    for run in every_run(runs):
        stale = time.time() - run.folder.stat().st_mtime > ABANDONED_SECONDS
        if stale and run.order() is None:
            shutil.rmtree(run.folder, ignore_errors=True)
    run = Run(runs / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(4)}")
    run.images.mkdir(parents=True)
    return run


def find_run(runs: Path, name: str) -> Run | None:
    """The run of that name; None where there is none."""
    if not ID.fullmatch(name) or not (runs / name).is_dir():
        return None
    return Run(runs / name)


def every_run(runs: Path) -> list[Run]:
    """All runs, the newest first."""
    found = (path for path in runs.glob("*") if ID.fullmatch(path.name) and path.is_dir())
    return [Run(path) for path in sorted(found, reverse=True)]


def running_in(runs: Path) -> str | None:
    """Which run is worked on, by this server or another one on the same folder."""
    try:
        with (runs / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return lock.read().strip() or None
    except OSError:
        pass
    return None


def _read(file: Path, kind: type[C]) -> C | None:
    try:
        return kind.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
