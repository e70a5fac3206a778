"""The workers that are at the store, each of which says so every few seconds.

A worker that does not is gone, or stuck. Moments are the database's alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session

from defectvision import __version__
from defectvision.store.age import moment
from defectvision.store.tables import WorkerRow

BEAT_SECONDS = 15.0
SILENT_SECONDS = 90.0  # after which a worker is gone
FORGOTTEN = timedelta(days=1)


def say_here(session: Session, name: str) -> None:
    """Note that a worker lives; those that were silent for a day are forgotten."""
    present = moment(session)
    again = update(WorkerRow).where(WorkerRow.name == name).values(seen=present)
    if not cast(CursorResult[Any], session.execute(again)).rowcount:
        session.execute(delete(WorkerRow).where(WorkerRow.seen < present - FORGOTTEN))
        session.add(WorkerRow(name=name, program=__version__, seen=present))


def say_gone(session: Session, name: str) -> None:
    """Note that a worker has ended."""
    session.execute(delete(WorkerRow).where(WorkerRow.name == name))


def silence_of_workers(session: Session) -> dict[str, float]:
    """For how many s each known worker has said nothing; where the clock was set back, by as much
    until it says something again."""
    present = moment(session)
    rows = session.execute(select(WorkerRow.name, WorkerRow.seen))
    return {name: abs((present - seen).total_seconds()) for name, seen in rows}


def workers_here(session: Session) -> list[str]:
    """The workers that live."""
    silent = silence_of_workers(session)
    return [name for name, seconds in silent.items() if seconds < SILENT_SECONDS]
