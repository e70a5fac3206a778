"""Batches: started, listed, paused, resumed, ended."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from defectvision.bundle.line import Line
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person, needs
from defectvision.store.age import moment
from defectvision.store.errors import StoreError
from defectvision.store.rows import listed_row
from defectvision.store.sources import ListedImage, Source, WatchedFolder
from defectvision.store.tables import (
    AuditRow,
    BatchRow,
    CounterRow,
    EvaluationRow,
    ImageState,
    InspectionRow,
    LineRow,
    now,
)
from defectvision.words import as_text, in_utc, writable


class State(StrEnum):
    """running: a worker works on it, or will as soon as it is free. watching: a watched folder is
    followed until somebody stops it."""

    RUNNING = "running"
    WATCHING = "watching"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FAILED = "failed"
    DONE = "done"


class Engine(StrEnum):
    """Who inspects the images of a batch: the process that works on it, or the Ray cluster of a
    worker that has one."""

    LOCAL = "local"
    RAY = "ray"


ACTIVE = (State.RUNNING, State.WATCHING)
ENDED = (State.CANCELLED, State.FAILED, State.DONE)
# What a person may ask for, and of which batches.
MOVES = {
    State.PAUSED: ACTIVE,
    State.RUNNING: (State.PAUSED, State.FAILED),
    State.CANCELLED: (*ACTIVE, State.PAUSED),
    State.DONE: (State.WATCHING,),
}


@dataclass(frozen=True)
class Counts:
    """Images of a batch by what became of them; `repeated` of the done ones are the same file as
    another."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    repeated: int = 0

    @property
    def total(self) -> int:
        return self.waiting + self.done + self.failed


@needs(Action.BATCH)
def add_batch(
    session: Session,
    loaded: LoadedBundle,
    source: Source,
    title: str,
    who: Person,
    keep: str = "all",
    engine: Engine = Engine.LOCAL,
) -> BatchRow:
    """A new batch, to be listed and inspected by a worker with that engine."""
    line = loaded.line
    # First, so that of two who begin with a line the second waits and finds it written.
    number = next_number(session, BatchRow)
    session.merge(LineRow(name=line.name))
    session.flush()
    batch = BatchRow(
        id=number,
        title=as_text(title).strip()[:200] or f"Batch {number}",
        line=line.name,
        line_content=line.model_dump(mode="json"),
        bundle=loaded.bundle.name,
        bundle_version=loaded.version,
        mask_classes=list(loaded.bundle.mask_classes),
        bundle_policy=loaded.bundle.policy.model_dump(mode="json"),
        source=source,
        state=State.WATCHING if isinstance(source, WatchedFolder) else State.RUNNING,
        keep=keep,
        engine=engine,
        who=who.kept_as,
        worked=moment(session),
    )
    session.add(batch)
    session.flush()
    details = {"batch": batch.id, "title": batch.title, "bundle_version": loaded.version}
    if source.again_of is not None:
        details["again_of"] = source.again_of
    session.add(AuditRow(who=batch.who, what="batch started", line=line.name, details=details))
    return batch


def next_number(session: Session, table: type[BatchRow] | type[EvaluationRow]) -> int:
    """A number that no row of the table has, nor any deleted one had."""
    counter = session.get(CounterRow, table.__tablename__, with_for_update=True)
    if counter is None:
        counter = CounterRow(name=table.__tablename__, last=0)
        session.add(counter)
    highest = session.scalar(select(func.max(table.id))) or 0
    counter.last = max(counter.last, highest) + 1
    session.flush()
    return counter.last


def get_batch(session: Session, number: int) -> BatchRow:
    """The batch; raises StoreError where there is none of that number."""
    batch = session.get(BatchRow, number)
    if batch is None:
        raise StoreError(f"there is no batch {number}. It may have been deleted; see the list")
    return batch


def list_batches(
    session: Session, line: str | None = None, most: int = 200, before: int | None = None
) -> list[BatchRow]:
    """The newest first, of those with a number under `before` where it is given."""
    wanted = select(BatchRow).order_by(BatchRow.id.desc()).limit(most)
    if line is not None:
        wanted = wanted.where(BatchRow.line == writable(line))
    if before is not None:
        wanted = wanted.where(BatchRow.id < before)
    return list(session.scalars(wanted))


def batch_titles(session: Session) -> dict[int, str]:
    """What every batch is called, with the time of its start, by number; the newest first."""
    rows = session.execute(
        select(BatchRow.id, BatchRow.title, BatchRow.made).order_by(BatchRow.id.desc())
    )
    return {number: f"{title} · {in_utc(made)}" for number, title, made in rows}


def count_batches(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(BatchRow)) or 0


def active_batches(session: Session, engine: Engine | None = None) -> list[int]:
    """Numbers of the batches that a worker should be at, one with `engine` where it is given, the
    oldest first; a watched folder after the others, as it has no end."""
    wanted = select(BatchRow.id).where(BatchRow.state.in_(ACTIVE))
    if engine is not None:
        wanted = wanted.where(BatchRow.engine == engine)
    return list(session.scalars(wanted.order_by(BatchRow.state == State.WATCHING, BatchRow.id)))


@needs(Action.BATCH)
def move(session: Session, number: int, to: State, who: Person) -> State:
    """Pause, resume, cancel or, for a watched folder, finish a batch; returns the state it is in
    then. Asking for what it is in already changes nothing. Raises StoreError where it cannot."""
    batch = get_batch(session, number)
    now_in = State(batch.state)
    if to == State.RUNNING and isinstance(batch.source, WatchedFolder):
        to, allowed = State.WATCHING, MOVES[State.RUNNING]
    else:
        allowed = MOVES[to]
    if now_in == to:
        return to
    if now_in not in allowed:
        raise StoreError(f"batch {number} is {now_in}: it cannot become {to}")
    if now_in == State.FAILED and not images_in(session, number, ImageState.WAITING, 1):
        raise StoreError(f"batch {number} is {now_in}, and none of its images waits")
    batch.state = to
    batch.ended = now() if to in ENDED else None
    if to in ACTIVE:
        batch.message, batch.worked = "", moment(session)
    details = {"batch": number, "title": batch.title}
    name = who.kept_as
    session.add(AuditRow(who=name, what=f"batch {to}", line=batch.line, details=details))
    return to


def finish(session: Session, number: int, to: State, message: str = "") -> None:
    """End a batch that is still active."""
    session.execute(
        update(BatchRow)
        .where(BatchRow.id == number, BatchRow.state.in_(ACTIVE))
        .values(state=to, message=message, ended=now())
    )


def say(session: Session, number: int, message: str) -> None:
    """Leave a message with a batch that is active: what it waits for; empty where all is well."""
    session.execute(
        update(BatchRow)
        .where(BatchRow.id == number, BatchRow.state.in_(ACTIVE))
        .values(message=message)
    )


def add_images(session: Session, number: int, images: Collection[ListedImage]) -> int:
    """Rows for images of the batch that it does not have yet by name; returns how many were
    new."""
    names = [image.name for image in images]
    known = set(
        session.scalars(
            select(InspectionRow.name).where(
                InspectionRow.batch_id == number, InspectionRow.name.in_(names)
            )
        )
    )
    rows = [listed_row(number, image) for image in images if image.name not in known]
    session.add_all(rows)
    session.flush()
    if rows:
        worked = moment(session)
        session.execute(update(BatchRow).where(BatchRow.id == number).values(worked=worked))
    return len(rows)


def images_in(
    session: Session,
    number: int,
    state: ImageState,
    most: int | None = None,
    first: int = 0,
    after: int = 0,
) -> list[InspectionRow]:
    """All images of the batch in that state, or `most` from place `first` on, in the order they
    were listed; only those after the row `after`."""
    return list(
        session.scalars(
            select(InspectionRow)
            .where(InspectionRow.batch_id == number, InspectionRow.state == state)
            .where(InspectionRow.id > after)
            .order_by(InspectionRow.id)
            .limit(most)
            .offset(first)
        )
    )


def count_images(session: Session, number: int) -> Counts:
    """What became of the images of one batch."""
    return count_by_batch(session, [number])[number]


def count_by_batch(session: Session, numbers: Iterable[int]) -> dict[int, Counts]:
    """What became of the images of each of these batches, asked in one statement."""
    numbers = list(numbers)
    rows = session.execute(
        select(
            InspectionRow.batch_id,
            InspectionRow.state,
            func.count(),
            func.count(InspectionRow.same_as),
        )
        .where(InspectionRow.batch_id.in_(numbers))
        .group_by(InspectionRow.batch_id, InspectionRow.state)
    )
    counts: dict[int, dict[str, int]] = {number: {"repeated": 0} for number in numbers}
    for number, state, images, repeated in rows:
        counts[number][state] = images
        counts[number]["repeated"] += repeated
    return {number: Counts(**of_batch) for number, of_batch in counts.items()}


def line_of(batch: BatchRow) -> Line:
    """The line as it was when the batch began."""
    return Line.model_validate(batch.line_content)
