"""The store's own record of time: seconds that are known to have passed since it was made.

What is kept for a number of days is kept by this age and never by comparing moments: a clock that
is wrong, jumps or is set back makes nothing older. The age grows by what a process sees pass on a
clock that nobody can set; time in which no server ran counts for half a day at most.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from defectvision.store.tables import AboutStoreRow, AuditRow, now
from defectvision.words import duration

log = logging.getLogger(__name__)
DAY = 86_400
OFF_COUNTS = DAY / 2  # for which a stop of all servers counts at most, in s
OFF_SECONDS = DAY  # after which a stop cannot be told from a clock that jumped
JUMP_SECONDS = 3600.0  # by which the clock may differ from what was seen to pass
STEADY_SECONDS = DAY  # in which it must not jump, before anything is removed again


def about(session: Session, to_change: bool = False) -> AboutStoreRow:
    """The row of the store as a whole; to_change: it is locked until the transaction ends."""
    wanted = select(AboutStoreRow)
    return session.scalars(wanted.with_for_update() if to_change else wanted).one()


def age_of(session: Session) -> int:
    """The store's age in s."""
    return session.scalars(select(AboutStoreRow.age)).one()


def moment(session: Session) -> datetime:
    """What the database's clock says: one clock for all machines that share the store. SQLite has
    none but this machine's, where all who share it run."""
    if session.get_bind().dialect.name == "postgresql":
        return session.scalars(select(func.clock_timestamp())).one()
    return now()


class Timekeeper:
    """What lets a store grow older while a process runs."""

    def __init__(self) -> None:
        self._last: float | None = None  # by the clock that nobody can set

    def tick(self, session: Session) -> None:
        """Count what has passed since the last tick of any process on this store, as far as this
        one saw it pass. Where the clock says something else, nothing is removed for a day."""
        row, present, seen = about(session, to_change=True), moment(session), time.monotonic()
        begins = self._last is None
        most = OFF_SECONDS if self._last is None else seen - self._last
        passed = 0.0 if row.seen is None else (present - row.seen).total_seconds()
        counted = max(0.0, min(passed, OFF_COUNTS if begins else most))
        row.age += round(counted)
        row.seen, self._last = present, seen
        if -JUMP_SECONDS <= passed <= most + JUMP_SECONDS:
            return
        if row.age >= row.steady_from:
            details = {"seconds": round(passed), "counted": round(counted)}
            session.add(AuditRow(who="the store", what="clock jumped", details=details))
        log.warning(
            "the clock went %s %s since it was looked at last, of which the store counts %s. "
            "Nothing is removed for a day. Check the clock, unless the server was off",
            "back" if passed < 0 else "on",
            duration(abs(passed)),
            duration(counted),
        )
        row.steady_from = row.age + STEADY_SECONDS
