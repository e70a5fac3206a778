"""Evaluations: started, followed, kept for ever until somebody deletes them, opened at once.

Who works on one says so every few seconds (`say_alive`); one that nobody has said anything of for
SILENT_SECONDS was interrupted, and can be started again. Its tables are one file of the store, see
evaluation/kept.py.
"""

from __future__ import annotations

import logging
from datetime import datetime
from enum import StrEnum
from threading import Event, Thread
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from defectvision.bundle.schema import LoadedBundle
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.people import Action, Person, needs
from defectvision.store.age import moment
from defectvision.store.batches import next_number
from defectvision.store.database import Store
from defectvision.store.dropped import drop
from defectvision.store.errors import StoreError
from defectvision.store.tables import AuditRow, EvaluationRow, now
from defectvision.words import as_text, counted, in_utc, writable

log = logging.getLogger(__name__)
BEAT_SECONDS = 5.0
SILENT_SECONDS = 90.0  # after which nobody works on it any more


class CancelledError(RuntimeError):
    """Nobody wants the evaluation any more."""


class State(StrEnum):
    """interrupted: nobody works on it any more, though nobody ended it; never kept as such."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class LabelledSet(_Kept):
    """Labelled images of a folder: `path` as it was given, only its images of `split` where that is
    not empty, `good` besides the names that mean a good part. seen: whether images that the bundle
    learned from are asked about too. title: what people call it, where a path tells nothing."""

    kind: Literal["set"] = "set"
    path: str
    split: str = ""
    good: tuple[str, ...] = ()
    seen: bool = True
    title: str = ""

    @property
    def words(self) -> str:
        name = self.title or self.path
        return f"{name}, {self.split} split" if self.split else name


class Reviewed(_Kept):
    """Images of the line that people decided on: of some `batches` by number (of all, where there
    are none), that were inspected from `since` on and before `until`."""

    kind: Literal["reviewed"] = "reviewed"
    batches: tuple[int, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def words(self) -> str:
        said = "reviewed images"
        if self.batches:
            some = ", ".join(map(str, self.batches[:8]))
            more = len(self.batches) - 8
            said += f" of batch {some}" + (f" and {counted(more, 'other')}" if more > 0 else "")
        if self.since:
            said += f" from {in_utc(self.since)}"
        if self.until:
            said += f" until {in_utc(self.until)}"
        return said


Source = Annotated[LabelledSet | Reviewed, Field(discriminator="kind")]
SOURCE: TypeAdapter[Source] = TypeAdapter(Source)


@needs(Action.TEACH)
def add_evaluation(
    session: Session, loaded: LoadedBundle, source: Source, who: Person
) -> EvaluationRow:
    """A new evaluation, which whoever called works on next."""
    row = EvaluationRow(
        id=next_number(session, EvaluationRow),
        line=loaded.line.name,
        bundle=loaded.bundle.name,
        bundle_version=loaded.version,
        data=as_text(source.words)[:1000],
        source=source.model_dump(mode="json"),
        state=State.RUNNING,
        who=who.kept_as,
        alive=moment(session),
    )
    session.add(row)
    session.flush()
    _told(session, row, "evaluation started", who)
    return row


@needs(Action.TEACH)
def begin_again(session: Session, number: int, who: Person) -> EvaluationRow:
    """An evaluation that was interrupted, cancelled or failed, to be worked on anew. Raises
    StoreError where somebody works on it, and where it is done."""
    row = get_evaluation(session, number)
    state = state_of(session, row)
    if state in (State.RUNNING, State.DONE):
        raise StoreError(f"evaluation {number} is {state}: it need not be started again")
    row.state, row.message, row.done, row.total = State.RUNNING, "", 0, 0
    row.alive, row.ended = moment(session), None
    _told(session, row, "evaluation started again", who)
    return row


@needs(Action.TEACH)
def cancel(session: Session, number: int, who: Person) -> None:
    """End the work on an evaluation: whoever does it finds out at the next `say_alive`. Raises
    StoreError where it is not running."""
    row = get_evaluation(session, number)
    if row.state != State.RUNNING:
        raise StoreError(f"evaluation {number} is {row.state}: there is nothing to cancel")
    row.state, row.message, row.ended = State.CANCELLED, f"cancelled by {who.kept_as}", now()
    _told(session, row, "evaluation cancelled", who)


@needs(Action.DELETE)
def delete_evaluation(session: Session, number: int, who: Person, why: str) -> None:
    """Remove an evaluation; its file goes some days later. Raises StoreError without a reason, and
    while it is worked on."""
    row = get_evaluation(session, number)
    if not why.strip():
        raise StoreError("deleting an evaluation needs a reason: say why")
    if state_of(session, row) == State.RUNNING:
        raise StoreError(f"evaluation {number} is running: cancel it first")
    _told(session, row, "evaluation deleted", who, why=why.strip())
    drop(session, [row.digest or ""], who.kept_as)
    session.delete(row)


def _told(session: Session, row: EvaluationRow, what: str, who: Person, **more: Any) -> None:
    details = {"evaluation": row.id, "bundle": row.bundle, "data": row.data, **more}
    session.add(AuditRow(who=who.kept_as, what=what, line=row.line, details=details))


def say_alive(session: Session, number: int, done: int = 0, total: int = 0) -> bool:
    """Note that somebody works on it and how far that is; whether it is still wanted."""
    running = (EvaluationRow.id == number) & (EvaluationRow.state == State.RUNNING)
    values = {"alive": moment(session), "done": done, "total": total}
    changed = session.execute(update(EvaluationRow).where(running).values(**values))
    return cast(CursorResult[Any], changed).rowcount == 1


def finish(store: Store, number: int, kept: Kept) -> None:
    """Keep the result of an evaluation that is still running; nothing where it is not wanted any
    more."""
    digest = store.files.put(kept.as_bytes())
    about = kept.about
    summary = {
        "metrics": about.metrics.model_dump(mode="json"),
        "defective": int(kept.defective.sum()),
        "unseen": int(kept.unseen.sum()),
        "failures": len(about.failures),
    }
    with store.session() as session:
        row = session.get(EvaluationRow, number, with_for_update=True)
        if row is None or row.state != State.RUNNING:
            return
        row.state, row.digest, row.summary = State.DONE, digest, summary
        row.done = row.total = row.images = len(kept)
        row.data, row.ended = as_text(about.data)[:1000], now()


def fail(session: Session, number: int, why: str) -> None:
    """Keep why a running evaluation came to nothing."""
    row = session.get(EvaluationRow, number)
    if row is not None and row.state == State.RUNNING:
        row.state, row.message, row.ended = State.FAILED, as_text(why), now()


def get_evaluation(session: Session, number: int) -> EvaluationRow:
    """Raises StoreError where there is none of that number."""
    row = session.get(EvaluationRow, number)
    if row is None:
        raise StoreError(f"there is no evaluation {number}. It may have been deleted; see the list")
    return row


def source_of(row: EvaluationRow) -> Source:
    """What its images are."""
    return SOURCE.validate_python(row.source)


def state_of(session: Session, row: EvaluationRow) -> State:
    """Its state as people see it."""
    state = State(row.state)
    if state is State.RUNNING:
        silent = abs((moment(session) - row.alive).total_seconds()) if row.alive else SILENT_SECONDS
        return State.INTERRUPTED if silent >= SILENT_SECONDS else state
    return state


def list_evaluations(
    session: Session, line: str | None = None, bundle: str | None = None, most: int = 200
) -> list[EvaluationRow]:
    """The newest first."""
    wanted = select(EvaluationRow).order_by(EvaluationRow.id.desc()).limit(most)
    if line is not None:
        wanted = wanted.where(EvaluationRow.line == writable(line))
    if bundle is not None:
        wanted = wanted.where(EvaluationRow.bundle == writable(bundle))
    return list(session.scalars(wanted))


def open_evaluation(store: Store, number: int) -> Kept:
    """The tables of an evaluation that is done. Raises StoreError where it is not, and where its
    file is lost or damaged."""
    with store.reading() as session:
        row = get_evaluation(session, number)
        state = state_of(session, row)
    if row.digest is None:
        why = f": {row.message}" if row.message else ""
        raise StoreError(f"evaluation {number} is {state}{why}. There is nothing to open yet")
    try:
        return Kept.read(store.files.get(row.digest))
    except EvaluationError as error:
        raise StoreError(f"evaluation {number}: {error}") from error


class Alive:
    """While it is entered, says every few seconds that evaluation `number` is worked on, and learns
    whether it is still wanted."""

    def __init__(self, store: Store, number: int) -> None:
        self._store, self._number = store, number
        self._done = self._total = 0
        self._unwanted, self._over = Event(), Event()
        self._thread = Thread(target=self._beat, name=f"evaluation {number}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def say(self, done: int, total: int) -> None:
        """How far it is; raises CancelledError where it is not wanted any more."""
        self._done, self._total = done, total
        self.check()

    def check(self) -> None:
        if self._unwanted.is_set():
            raise CancelledError

    def _beat(self) -> None:
        while True:
            try:
                with self._store.session() as session:
                    if not say_alive(session, self._number, self._done, self._total):
                        self._unwanted.set()
            except SQLAlchemyError:
                log.warning("evaluation %d: its progress was not kept", self._number, exc_info=True)
            if self._over.wait(BEAT_SECONDS):
                return
