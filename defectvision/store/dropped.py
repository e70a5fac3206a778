"""Files that this database needs no more: listed when it drops them, removed days later.

Nothing is removed because a database does not name it, which an empty or an older one does not. A
file that another row names by then stays. What went because its days were over is never a large
share of all at once, unless a person confirms it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from defectvision.people import Action, Person, needs
from defectvision.store import ownership
from defectvision.store.age import DAY, about, age_of
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.sources import Uploads
from defectvision.store.tables import (
    AuditRow,
    BatchRow,
    DroppedFileRow,
    EvaluationRow,
    ImageState,
    InspectionRow,
    LabelledImageRow,
    LabelRow,
    ReleaseFileRow,
)
from defectvision.words import counted

log = logging.getLogger(__name__)
GRACE_SECONDS = 7 * DAY  # between dropping and removing
LARGE_SHARE = 0.25  # of all files, above which a person must confirm
CHUNK = 500  # files that are dropped together
REMOVED = 50  # that are removed together, while nobody else can write
THE_STORE = "the store"  # who writes into the audit trail


def drop(session: Session, digests: Iterable[str], who: str = "") -> None:
    """Have files removed when their grace is over. who: the person who wants it so; empty where
    nobody was asked."""
    wanted, age = sorted(set(filter(None, digests))), age_of(session)
    for first in range(0, len(wanted), CHUNK):
        some = wanted[first : first + CHUNK]
        session.execute(delete(DroppedFileRow).where(DroppedFileRow.digest.in_(some)))
        session.execute(
            insert(DroppedFileRow), [{"digest": d, "age": age, "who": who} for d in some]
        )


def drop_of_inspections(
    session: Session, *conditions: ColumnElement[bool], pictures_only: bool = False, who: str = ""
) -> int:
    """`drop` the files of the inspections that meet the conditions; returns of how many files it
    is said."""
    age, count = age_of(session), 0
    columns = (InspectionRow.digest, InspectionRow.record, InspectionRow.thumbnail)
    for column in columns[:1] if pictures_only else columns:
        found = select(column).where(column.is_not(None), *conditions).distinct()
        session.execute(delete(DroppedFileRow).where(DroppedFileRow.digest.in_(found)))
        new = found.with_only_columns(column, literal(age), literal(who))
        added = session.execute(insert(DroppedFileRow).from_select(["digest", "age", "who"], new))
        count += cast(CursorResult[Any], added).rowcount
    return count


def remove_dropped(store: Store) -> tuple[int, int]:
    """Remove the dropped files whose grace is over and that nothing names; returns files and bytes.

    Where nothing may be removed, the store says why until it may: in its log, in the audit trail
    and in `AboutStoreRow.standstill`.
    """
    try:
        reason = ownership.count_writing(store)
    except StoreError as error:
        reason = str(error)
    with store.session() as session:
        _keep_named(session, _is_due(session))
        unasked = len(session.scalars(_due(session, DroppedFileRow.who == "")).all())
    # Not in the transaction: counting files may take long.
    kept = store.files.usage()[0] if unasked and not reason else 0
    with store.session() as session:
        if not reason and about(session).age < about(session).steady_from:
            reason = "the clock jumped less than a day ago"
        if not reason and unasked > LARGE_SHARE * kept:
            share = f"{unasked:,} of {counted(kept, 'file')}"
            reason = f"{share} would go at once, as the days of their batches are over"
        _stand_still(session, store, reason)
        due = [] if reason else list(session.scalars(_due(session)))
    files = size = 0
    for first in range(0, len(due), REMOVED):
        gone = _remove(store, due[first : first + REMOVED])
        files, size = files + len(gone), size + sum(gone)
    if not reason:
        half_files, half_size = store.files.remove_half_written()
        files, size = files + half_files, size + half_size
    if files:
        log.info("%s removed from the store, %d bytes", counted(files, "file"), size)
        with store.session() as session:
            details = {"files": files, "bytes": size}
            session.add(AuditRow(who=THE_STORE, what="files removed", details=details))
    return files, size


@needs(Action.DELETE)
def confirm_removal(store: Store, who: Person, why: str) -> None:
    """A person says that what waits may be removed, that the clock is right, and that the files
    are this database's alone. Raises StoreError without a name or a reason."""
    if not who.name or not why.strip():
        raise StoreError("removing files needs a name and a reason: say who confirms it, and why")
    name = who.kept_as
    with store.session() as session:
        row = about(session, to_change=True)
        session.execute(update(DroppedFileRow).where(DroppedFileRow.who == "").values(who=name))
        ownership.take_files(store, session)
        details = {"why": why.strip(), "standstill": row.standstill}
        row.steady_from, row.standstill = row.age, ""
        session.add(AuditRow(who=name, what="removal confirmed", details=details))


def _keep_named(session: Session, among: ColumnElement[bool]) -> None:
    """Forget of some dropped files those that something names again."""
    digest = DroppedFileRow.digest
    held = InspectionRow.stored | InspectionRow.state.in_([ImageState.WAITING, ImageState.FAILED])
    named = (
        exists().where(InspectionRow.digest == digest, held)
        | exists().where(InspectionRow.record == digest)
        | exists().where(InspectionRow.thumbnail == digest)
        | exists().where(ReleaseFileRow.digest == digest)
        | exists().where(EvaluationRow.digest == digest)
        | exists().where(LabelledImageRow.digest == digest)
        | exists().where(LabelRow.masks == digest)
    )
    session.execute(delete(DroppedFileRow).where(among, named))
    for source in session.scalars(select(BatchRow.source).where(~BatchRow.listed)):
        if isinstance(source, Uploads):
            given = digest.in_([file.digest for file in source.files])
            session.execute(delete(DroppedFileRow).where(among, given))


def _is_due(session: Session) -> ColumnElement[bool]:
    """Whether the grace of a dropped file is over."""
    return DroppedFileRow.age <= age_of(session) - GRACE_SECONDS


def _due(session: Session, *conditions: ColumnElement[bool]) -> Select[str]:
    return select(DroppedFileRow.digest).where(_is_due(session), *conditions)


def _stand_still(session: Session, store: Store, reason: str) -> None:
    """Keep why nothing is removed; tell it in the audit trail where it is new."""
    row = about(session, to_change=True)
    if reason:
        log.warning(
            "%s: no file is removed: %s. Look at the Batches page, or run: defectvision store",
            store.files.url,
            reason,
        )
    if reason and reason != row.standstill:
        details = {"files": store.files.url, "why": reason}
        session.add(AuditRow(who=THE_STORE, what="removal stopped", details=details))
    row.standstill = reason


def _remove(store: Store, digests: Sequence[str]) -> list[int]:
    """Remove files that nothing names; returns their bytes."""
    with store.session() as session:
        among = DroppedFileRow.digest.in_(digests)
        _keep_named(session, among)
        still = select(DroppedFileRow.digest).where(among)
        gone: dict[str, int | None] = {}
        for digest in session.scalars(still).all():
            try:
                size = store.files.remove(digest)
            except FileNotFoundError:
                gone[digest] = None
                continue
            except OSError:
                log.warning("%s: cannot be removed", digest, exc_info=True)
                continue
            if size is not None:
                gone[digest] = size
        session.execute(delete(DroppedFileRow).where(DroppedFileRow.digest.in_(gone)))
    return [size for size in gone.values() if size is not None]


@dataclass(frozen=True)
class Standing:
    """What the store holds and what waits to be removed.

    identity: of the database. waiting: files that were dropped. standstill: why none is removed,
    empty where that is not so.
    """

    identity: str
    files: int
    bytes: int
    waiting: int
    standstill: str


def standing(store: Store) -> Standing:
    """As of the last look at what may be removed."""
    with store.reading() as session:
        row = about(session)
        waiting = session.scalars(select(func.count()).select_from(DroppedFileRow)).one()
    return Standing(row.identity, *store.files.usage(), waiting, row.standstill)
