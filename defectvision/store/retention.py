"""What is kept for how long, and what it takes.

A batch's `keep` is `all`, `defects` (pictures of accepted parts are not kept), `none` or a number
of days after which its pictures go. Scores, records, thumbnails and reviews stay with the batch,
so its table and its report stay complete; only the pictures themselves are gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from defectvision.store.batches import ACTIVE, State, get_batch
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import STALE_SECONDS
from defectvision.store.releases import releases_of
from defectvision.store.sources import Uploads
from defectvision.store.tables import (
    AuditRow,
    BatchRow,
    ImageState,
    InspectionRow,
    ReleaseFileRow,
    now,
)

ALL, DEFECTS, NONE = "all", "defects", "none"


def days_kept(keep: str) -> int | None:
    """Days after which pictures go; None where they stay. Raises StoreError for another word."""
    if keep in (ALL, DEFECTS, NONE):
        return None
    if not keep.isdigit() or not 1 <= int(keep) <= 36_500:
        raise StoreError(f"'{keep}': keep '{ALL}', '{DEFECTS}', '{NONE}' or a number of days")
    return int(keep)


def expire(session: Session, at: datetime | None = None) -> int:
    """Let go of the pictures whose days are over; returns how many. `sweep` then frees them."""
    at, gone = at or now(), 0
    for number, keep in session.execute(select(BatchRow.id, BatchRow.keep)).all():
        days = days_kept(keep)
        if days is None:
            continue
        expired = session.execute(
            update(InspectionRow)
            .where(
                InspectionRow.batch_id == number,
                InspectionRow.stored,
                InspectionRow.at < at - timedelta(days=days),
            )
            .values(stored=False)
        )
        gone += cast(CursorResult[Any], expired).rowcount
    return gone


def delete_batch(
    session: Session, number: int, who: str, why: str, released_too: bool = False
) -> None:
    """Remove a batch with its inspections, reviews and, where that is said, its releases.

    Raises StoreError without a name or a reason, while it is worked on, and for a released lot
    unless `released_too`.
    """
    batch = get_batch(session, number)
    if not who.strip() or not why.strip():
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
    session.add(AuditRow(who=who, what="batch deleted", line=batch.line, details=details))
    session.execute(delete(BatchRow).where(BatchRow.id == number))


def sweep(store: Store, seconds: float = STALE_SECONDS) -> tuple[int, int]:
    """Free the files that no row names any more; returns files and bytes."""
    wanted: set[str] = set()
    with store.reading() as session:
        held = InspectionRow.stored | (InspectionRow.state == ImageState.WAITING)
        wanted.update(filter(None, session.scalars(select(InspectionRow.digest).where(held))))
        for column in (InspectionRow.record, InspectionRow.thumbnail):
            wanted.update(filter(None, session.scalars(select(column).distinct())))
        wanted.update(session.scalars(select(ReleaseFileRow.digest)))
        for source in session.scalars(select(BatchRow.source).where(~BatchRow.listed)):
            if isinstance(source, Uploads):
                wanted.update(file.digest for file in source.files)
    return store.files.sweep(wanted, seconds)
