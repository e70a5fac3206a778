"""Put a backup into a store of either kind, checked.

The restored database gets an identity of its own: beside the living one, neither removes files that
the other may need. Files come first and rows last, in one transaction: a restore that is broken off
leaves no row, and can be done again.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from alembic.util import CommandError
from sqlalchemy import create_engine, delete, select, text, update
from sqlalchemy.orm import Session

from defectvision.store.age import STEADY_SECONDS, about
from defectvision.store.backup import (
    FILES,
    Manifest,
    files_named,
    opened,
    read_manifest,
    sha256_of,
)
from defectvision.store.copying import TABLES, copy_rows, remove_rows
from defectvision.store.database import Store, migrate
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import Files
from defectvision.store.tables import (
    AboutStoreRow,
    AuditRow,
    BatchRow,
    CounterRow,
    SignInRow,
    WorkerRow,
)
from defectvision.store.workers import workers_here
from defectvision.words import counted

# What a new store writes of itself.
OF_ANY_STORE = {one.__tablename__ for one in (AboutStoreRow, CounterRow, WorkerRow)}
NAMED = 5  # damaged files that are named


@dataclass(frozen=True)
class Restored:
    """What was put back; rows by table, damaged: files that were left out."""

    manifest: Manifest
    rows: dict[str, int]
    files: int
    damaged: tuple[str, ...]


def restore(
    source: Path,
    store: Store,
    replace: bool = False,
    without_damaged: bool = False,
    told: Callable[[int], None] = lambda _: None,
) -> Restored:
    """Put the backup in the folder `source` into the store. told: is called with the number of
    files that are there.

    replace: what the store's database holds is removed; else it must be empty. without_damaged: go
    on without files that the backup has lost or that are damaged in it. Raises StoreError where one
    of them is not said but needed, where a server is at the store, and where the backup's database
    is not what was backed up; OSError where a file cannot be written. No row is written then.
    """
    source = source.expanduser().absolute()
    manifest = read_manifest(source)
    dump = source / manifest.database
    if not dump.is_file() or sha256_of(dump) != manifest.sha256:
        raise StoreError(
            f"{dump}: is missing or damaged: it is not what was backed up. Take another backup"
        )
    _check_store(store, replace)
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        current = _brought_up_to_date(store, dump, manifest, Path(folder))
        files, damaged = _files(store, current, source, manifest, told)
        if damaged and not without_damaged:
            listed = ", ".join(damaged[:NAMED]) + (", ..." if len(damaged) > NAMED else "")
            raise StoreError(
                f"{source / FILES}: {counted(len(damaged), 'file is', 'files are')} missing or "
                f"damaged ({listed}). No row was written. Put them back from another backup, or "
                "restore without them: --without-damaged"
            )
        rows = _put_rows(store, current, manifest, replace)
    return Restored(manifest, rows, files, tuple(damaged))


def _check_store(store: Store, replace: bool) -> None:
    with store.reading() as session:
        if workers := workers_here(session):
            raise StoreError(
                f"{counted(len(workers), 'worker is', 'workers are')} at the store. End the server "
                "and each `defectvision work` first; one that was killed is forgotten after 90 s"
            )
        if replace:
            return
        held = _first_held(session)
    if held:
        raise StoreError(
            f"the store is not empty: its table '{held}' has rows. Name another store "
            "(DEFECTVISION_STORE, DEFECTVISION_DATABASE), or say that what it holds may go: "
            "--replace"
        )
    if store.files.mark():
        raise StoreError(
            f"{store.files.url}: holds the files of another database. Name another place "
            "(DEFECTVISION_FILES), or say that they are for this one as well: --replace"
        )


def _first_held(session: Session) -> str:
    """The name of a table that somebody has written to."""
    tables = [table for table in TABLES if table.name not in OF_ANY_STORE]
    held = (t.name for t in tables if session.execute(select(t).limit(1)).first() is not None)
    return next(held, "")


def _brought_up_to_date(store: Store, dump: Path, manifest: Manifest, folder: Path) -> Path:
    """The backup's database with today's tables: itself, or a copy in `folder`."""
    with store.reading() as session:
        today = session.scalar(text("select version_num from alembic_version"))
    if manifest.tables == today:
        return dump
    copy = folder / dump.name
    shutil.copyfile(dump, copy)
    engine = create_engine(f"sqlite:///{copy}")
    try:
        migrate(engine)
    except CommandError as error:
        raise StoreError(
            f"{dump}: was written by a newer version ({manifest.program}). Install that one"
        ) from error
    finally:
        engine.dispose()
    return copy


def _files(
    store: Store, dump: Path, source: Path, manifest: Manifest, told: Callable[[int], None]
) -> tuple[int, list[str]]:
    """Put the files into the store; returns how many, and those that are missing or damaged and
    were not so before."""
    kept, lost = Files(str(source / FILES)), set(manifest.lost)
    files, damaged = 0, []
    with opened(dump) as rows:
        for needed in files_named(rows):
            try:
                store.files.put(kept.get(needed.digest))
            except LostFileError:
                if needed.must and needed.digest not in lost:
                    damaged.append(needed.digest)
            else:
                files += 1
                told(files)
    return files, damaged


def _put_rows(store: Store, dump: Path, manifest: Manifest, replace: bool) -> dict[str, int]:
    with store.session() as session, opened(dump) as rows:
        before = about(session, to_change=True).identity
        if not replace and (held := _first_held(session)):
            raise StoreError(f"the store was written to meanwhile: its table '{held}' has rows")
        connection = session.connection()
        session.expunge_all()
        remove_rows(connection)
        copied = copy_rows(rows, connection)
        session.execute(delete(WorkerRow))
        session.execute(delete(SignInRow))  # some may have been ended since
        session.execute(update(BatchRow).values(holder=None, held_since=None))
        row = about(session)
        row.identity = str(uuid4())
        # How much time has passed since the backup, no clock can tell for sure.
        row.seen, row.steady_from = None, row.age + round(STEADY_SECONDS)
        details = {"made": manifest.made.isoformat(timespec="seconds"), "of": manifest.identity}
        session.add(AuditRow(who="command line", what="store restored", details=details))
        identity, writes = row.identity, row.writes
    mark = store.files.mark() or {}
    mark.pop(before, None)  # of the database whose place it took
    store.files.set_mark(mark | {identity: writes})
    return copied
