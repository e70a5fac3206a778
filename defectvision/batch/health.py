"""Whether what batches need works: each part is touched, not asked whether it is there.

The database is written and read, a file is put beside the store's, read and removed, the space on
its disks is looked at, the workers are heard, and each batch must have had a result lately.
`defectvision doctor`, the API's `health` and the pages say what is found here.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock

from sqlalchemy import exists, select
from sqlalchemy.exc import SQLAlchemyError

from defectvision.batch.deadline import TooSlowError, within
from defectvision.finding import Condition, Finding
from defectvision.store.age import moment
from defectvision.store.batches import ACTIVE, State
from defectvision.store.database import Store, in_words, open_store, touch
from defectvision.store.errors import StoreError
from defectvision.store.tables import BatchRow, ImageState, InspectionRow
from defectvision.store.workers import SILENT_SECONDS, silence_of_workers
from defectvision.words import counted, duration

log = logging.getLogger(__name__)
PART_SECONDS = 5.0  # in which each part must answer
FULL_BYTES = 200_000_000  # of free space, below which nothing may be written any more
LOW_BYTES = 2_000_000_000
LATE_SECONDS = 600.0  # without a result of a batch of which images wait
MOST_LATE = 5  # batches that are named
ASK = "Look after the database, and the disk or the share that the store is on"


def _database(store: Store) -> Finding:
    try:
        touch(store)
    except SQLAlchemyError as error:
        return Finding("database", Condition.BROKEN, in_words(error), ASK)
    return Finding("database", words="can be written and read")


def _files(store: Store) -> Finding:
    try:
        store.files.touch()
    except OSError as error:
        words = f"{store.files.url}: cannot be written, read and removed"
        reason = error.strerror or error
        remedy = "Mount or put back what is away, free space, or move them (DEFECTVISION_FILES)"
        return Finding("files", Condition.BROKEN, f"{words} ({reason})", remedy)
    return Finding("files", words=f"{store.files.url}: can be written, read and removed")


def _disk(store: Store) -> Finding:
    """Of the folder and of the files, where they are on a disk of this machine."""
    free, place = min((shutil.disk_usage(place).free, place) for place in _places(store))
    words = f"{place}: {free / 1e9:.1f} GB free"
    if free >= LOW_BYTES:
        return Finding("disk", words=words)
    state = Condition.ATTENTION if free >= FULL_BYTES else Condition.BROKEN
    remedy = "Free space, let batches keep fewer pictures, or move the store (DEFECTVISION_STORE)"
    return Finding("disk", state, words, remedy)


def _places(store: Store) -> list[Path]:
    files = store.files.folder
    return [store.folder] + ([files] if files is not None and files.is_dir() else [])


def _worker(store: Store) -> Finding:
    with store.reading() as session:
        silent = silence_of_workers(session)
    alive = [seconds for seconds in silent.values() if seconds < SILENT_SECONDS]
    if alive:
        words = f"{counted(len(alive), 'worker')}, heard {duration(min(alive))} ago"
        return Finding("worker", words=words)
    last = f"; the last one was heard {duration(min(silent.values()))} ago" if silent else ""
    remedy = "Start the server again, or run: defectvision work"
    return Finding("worker", Condition.BROKEN, f"no worker is at the batches{last}", remedy)


def _batches(store: Store) -> Finding:
    """Of which images wait, and none was inspected lately."""
    waits = exists().where(
        InspectionRow.batch_id == BatchRow.id, InspectionRow.state == ImageState.WAITING
    )
    unlisted = (BatchRow.state == State.RUNNING) & ~BatchRow.listed
    wanted = select(BatchRow.id, BatchRow.worked, BatchRow.message).where(
        BatchRow.state.in_(ACTIVE), BatchRow.worked.is_not(None), waits | unlisted
    )
    with store.reading() as session:
        present = moment(session)
        rows = session.execute(wanted.order_by(BatchRow.worked)).all()
    ages = [((present - row.worked).total_seconds(), row) for row in rows]
    late = [(age, row) for age, row in ages if age >= LATE_SECONDS]
    if not late:
        longest = f"; the last result is {duration(max(ages)[0])} old" if ages else ""
        return Finding(
            "batches", words=f"{counted(len(ages), 'batch', 'batches')} at work{longest}"
        )
    words = "; ".join(
        f"batch {row.id} had no result for {duration(age)}"
        + (f" ({row.message})" if row.message else "")
        for age, row in late[:MOST_LATE]
    )
    more = f"; {len(late) - MOST_LATE} more" if len(late) > MOST_LATE else ""
    remedy = "See what it waits for on the Batches page; pause or cancel it there"
    return Finding("batches", Condition.ATTENTION, words + more, remedy)


PARTS: dict[str, Callable[[Store], Finding]] = {
    "database": _database,
    "files": _files,
    "disk": _disk,
    "worker": _worker,
    "batches": _batches,
}


# They are asked of the database: where that is broken, nothing is said of them.
OF_DATABASE = ("worker", "batches")


class Health:
    """What is found of a store, looked up again when it is older than the asker wants. One look at
    a time; a part that hangs is not asked again before it has answered."""

    def __init__(self, open_the_store: Callable[[], Store]) -> None:
        """open_the_store: raises StoreError where it cannot."""
        self._open = open_the_store
        self._lock = Lock()
        self._found: tuple[Finding, ...] = ()
        self._looked = -float("inf")
        self._hung: dict[str, TooSlowError] = {}

    def look(self, oldest: float = 2.0) -> tuple[Finding, ...]:
        """A finding for each part; oldest: of the findings, in s."""
        with self._lock:
            if time.monotonic() - self._looked > oldest:
                self._found = tuple(self._look())
                self._looked = time.monotonic()
            return self._found

    def _look(self) -> Iterator[Finding]:
        opened: list[Store] = []

        def _opened() -> Finding:
            opened.append(self._open())
            return Finding("store")

        if (found := self._of("store", _opened)).state == Condition.BROKEN:
            yield found
            return
        broken = False
        for part, look in PARTS.items():
            if broken and part in OF_DATABASE:
                continue
            found = self._of(part, partial(look, opened[0]))
            broken = broken or (part == "database" and found.state == Condition.BROKEN)
            yield found

    def _of(self, part: str, look: Callable[[], Finding]) -> Finding:
        hung = self._hung.get(part)
        if hung is None or not hung.thread.is_alive():
            self._hung.pop(part, None)
            try:
                return within(PART_SECONDS, look)
            except TooSlowError as error:
                self._hung[part] = hung = error
            except SQLAlchemyError as error:
                return Finding(part, Condition.BROKEN, in_words(error), ASK)
            except (StoreError, OSError) as error:
                return Finding(part, Condition.BROKEN, str(error), ASK)
            except Exception as error:
                log.exception("the health of the %s", part)
                return Finding(part, Condition.BROKEN, type(error).__name__, "See the log")
        return Finding(part, Condition.BROKEN, f"{part}: {hung}", ASK)


@lru_cache(maxsize=4)
def health_of(folder: Path, database: str = "", files: str = "") -> Health:
    """Of the store that `open_store` opens."""
    return Health(partial(open_store, folder, database, files))
