"""Who works on a batch: one worker at a time, of whatever process on whatever server.

A claim stands in the batch's row: the name of its holder, since when, and a count that the holder
raises every few seconds. Whether a holder still lives is seen by that count alone and never by
comparing moments, so that clocks may differ, jump or be set back (as the leases of Kubernetes'
leader election, which each observer times by its own clock, one that nobody can set).
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, Update, select, update
from sqlalchemy.orm import Session

from defectvision.store.age import moment
from defectvision.store.batches import ACTIVE
from defectvision.store.errors import ClaimLostError
from defectvision.store.tables import BatchRow


class Beat(NamedTuple):
    """A holder of a batch, and how often it said that it lives."""

    holder: str
    beats: int


def last_beat(session: Session, number: int) -> Beat | None:
    """Of the holder of a batch; None where nobody holds it."""
    columns = select(BatchRow.holder, BatchRow.beats).where(BatchRow.id == number)
    row = session.execute(columns).one_or_none()
    return None if row is None or row[0] is None else Beat(row[0], row[1])


def take_claim(session: Session, number: int, holder: str, over: Beat | None = None) -> bool:
    """Claim a batch that is active and that nobody holds. over: the last beat of a holder that is
    gone; the claim is taken from it unless it beat again. Returns whether `holder` holds it now;
    not where somebody else is about to change the batch, who is not waited for."""
    free: ColumnElement[bool] = BatchRow.holder.is_(None)
    if over is not None:
        free = (BatchRow.holder == over.holder) & (BatchRow.beats == over.beats)
    wanted = select(BatchRow.id).where(BatchRow.id == number, BatchRow.state.in_(ACTIVE), free)
    # SQLite has one writer at a time, and needs no lock of a row.
    if session.scalar(wanted.with_for_update(skip_locked=True)) is None:
        return False
    session.execute(
        update(BatchRow)
        .where(BatchRow.id == number)
        .values(holder=holder, held_since=moment(session), beats=BatchRow.beats + 1)
    )
    return True


def beat(session: Session, number: int, holder: str) -> None:
    """Say that the holder lives; raises ClaimLostError where the claim is not its own any more.

    What else the transaction writes is written by the holder: until it ends, nobody can take the
    claim.
    """
    held = (BatchRow.id == number) & (BatchRow.holder == holder)
    if not _changed(session, update(BatchRow).where(held).values(beats=BatchRow.beats + 1)):
        raise ClaimLostError(
            f"batch {number} was taken over by another worker, or deleted, as this one did not "
            "answer for a while. Nothing is to be done: what it had not written is inspected there"
        )


def release_claim(session: Session, number: int, holder: str) -> None:
    """Give up a claim, where it is still held."""
    session.execute(
        update(BatchRow)
        .where(BatchRow.id == number, BatchRow.holder == holder)
        .values(holder=None, held_since=None)
    )


def _changed(session: Session, statement: Update) -> bool:
    return cast(CursorResult[Any], session.execute(statement)).rowcount == 1
