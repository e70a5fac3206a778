"""Whose the files are: each database that wrote beside them stands in their mark.

A database removes files only where the mark names it and no other one, and has seen no later
writing than its own: one that is empty, older, copied or another site's removes nothing.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.store.age import about
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.sources import Uploads
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

log = logging.getLogger(__name__)
Mark = dict[str, int]  # how often each database was seen to write, by its identity


def join_files(store: Store) -> None:
    """Let the files' mark name this database, before it writes its first ones; raises StoreError
    where they cannot be written. A damaged mark stays for a person to look at."""
    with store.reading() as session:
        row = about(session)
    try:
        mark = store.files.mark() or {}
    except StoreError as error:
        log.warning("%s", error)
        return
    if row.identity in mark:
        return
    if mark:
        log.warning(
            "%s: holds the files of another database, and of this one from now on. Neither removes "
            "any. Give each site a place of its own (DEFECTVISION_FILES)",
            store.files.url,
        )
    store.files.set_mark(mark | {row.identity: row.writes})


def count_writing(store: Store) -> str:
    """Write down that this database is in use, in itself and in the files' mark; returns why it
    must not remove files, empty where it may. Raises StoreError where the files cannot be reached.
    """
    # Read before the database is: what is in it then is never younger than the mark.
    mark = store.files.mark()
    with store.session() as session:
        row = about(session, to_change=True)
        identity, before = row.identity, row.writes
        if mark is None and _knows(session, store):  # of a version that marked no files
            mark = {identity: before}
        reason = _objection(mark, identity, before)
        if not reason:
            row.writes += 1
    if not reason:
        store.files.set_mark({identity: before + 1})
    return reason


def objection(store: Store) -> str:
    """Why this database must not remove files, empty where it may, as far as a look shows that
    changes nothing. Raises StoreError where the files cannot be reached."""
    mark = store.files.mark()
    with store.reading() as session:
        row = about(session)
        if mark is None and _knows(session, store):
            return ""
    return _objection(mark, row.identity, row.writes)


def take_files(store: Store, session: Session) -> None:
    """Say that the files are this database's alone; a person has confirmed it."""
    row = about(session, to_change=True)
    store.files.set_mark({row.identity: row.writes})


def _objection(mark: Mark | None, identity: str, writes: int) -> str:
    if mark is None:
        return "they carry no mark, and hold no file that this database names"
    if identity not in mark:
        return "they belong to another database"
    if len(mark) > 1:
        return f"{len(mark)} databases share them"
    if mark[identity] > writes:
        return "this database is older than they are, or a copy of the one that wrote them"
    return ""


def _knows(session: Session, store: Store) -> bool:
    """Whether a file that the database names lies there; where it names none, whether none does."""
    digest = InspectionRow.digest
    columns = (
        select(InspectionRow.record).where(InspectionRow.record.is_not(None)),
        select(digest).where(InspectionRow.stored, digest.is_not(None)),
        select(digest).where(InspectionRow.state == ImageState.WAITING, digest.is_not(None)),
    )
    for column in columns:
        if named := session.scalar(column.order_by(InspectionRow.id.desc()).limit(1)):
            return store.files.has(named)
    for source in session.scalars(select(BatchRow.source).where(~BatchRow.listed)):
        if isinstance(source, Uploads) and source.files:
            return store.files.has(source.files[0].digest)
    return store.files.is_empty()
