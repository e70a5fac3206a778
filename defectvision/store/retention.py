"""What is kept for how long, and what it takes.

A batch's `keep` is `all`, `defects` (pictures of accepted parts are not kept), `none` or a number
of days after which its pictures go. Scores, records, thumbnails and reviews stay with the batch,
so its table and its report stay complete; only the pictures themselves are gone. Days are those of
the store's own age, see store/age.py, and files go some days after them, see store/dropped.py.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, and_, delete, select, update
from sqlalchemy.orm import Session

from defectvision.people import Action, Person, needs
from defectvision.store.age import DAY, about
from defectvision.store.batches import ACTIVE, State, get_batch
from defectvision.store.dropped import drop, drop_of_inspections
from defectvision.store.errors import StoreError
from defectvision.store.releases import files_of, hold, releases_of
from defectvision.store.sources import Uploads
from defectvision.store.tables import AuditRow, BatchRow, InspectionRow

ALL, DEFECTS, NONE = "all", "defects", "none"


def days_kept(keep: str) -> int | None:
    """Days after which pictures go; None where they stay. Raises StoreError for another word."""
    if keep in (ALL, DEFECTS, NONE):
        return None
    if not keep.isdigit() or not 1 <= int(keep) <= 36_500:
        raise StoreError(f"'{keep}': keep '{ALL}', '{DEFECTS}', '{NONE}' or a number of days")
    return int(keep)


def expire(session: Session) -> int:
    """Let go of the pictures whose days are over; returns how many. Of none where the clock has
    jumped lately."""
    row, gone = about(session), 0
    if row.age < row.steady_from:
        return 0
    for number, keep in session.execute(select(BatchRow.id, BatchRow.keep)).all():
        days = days_kept(keep)
        if days is None:
            continue
        over = and_(
            InspectionRow.batch_id == number,
            InspectionRow.stored,
            InspectionRow.aged <= row.age - days * DAY,
        )
        drop_of_inspections(session, over, pictures_only=True)
        expired = session.execute(update(InspectionRow).where(over).values(stored=False))
        gone += cast(CursorResult[Any], expired).rowcount
    return gone


@needs(Action.DELETE)
def delete_batch(
    session: Session, number: int, who: Person, why: str, released_too: bool = False
) -> None:
    """Remove a batch with its inspections, reviews and, where that is said, its releases. Its files
    go some days later, see store/dropped.py.

    Raises StoreError without a name or a reason, while it is worked on, and for a released lot
    unless `released_too`.
    """
    hold(session, number)
    batch = get_batch(session, number)
    if not who.name or not why.strip():
        raise StoreError("deleting a batch needs a name and a reason: say who deletes it, and why")
    if State(batch.state) in ACTIVE:
        raise StoreError(f"batch {number} is {batch.state}: cancel it first")
    versions = releases_of(session, number)
    if versions and not released_too:
        raise StoreError(
            f"lot {number} was released by {versions[0].who}: say that its releases go as well"
        )
    details = {"batch": number, "title": batch.title, "why": why.strip()}
    if versions:
        details["records"] = [release.digest for release in versions]
    name = who.kept_as
    session.add(AuditRow(who=name, what="batch deleted", line=batch.line, details=details))
    drop_of_inspections(session, InspectionRow.batch_id == number, who=name)
    if isinstance(batch.source, Uploads):
        drop(session, (file.digest for file in batch.source.files), name)
    drop(session, (f.digest for v in versions for f in files_of(session, v.id)), name)
    session.execute(delete(BatchRow).where(BatchRow.id == number))
