"""A backup of a store in use: a folder that holds the database as one SQLite file, whatever kind
the store's is, the files that its rows name, and what a restore needs to check both.

The rows are of one moment. Each file was there before a row named it, and leaves days after the
last one did, so that all of them are found while the server goes on. A backup into the same folder
copies only the files that are not there, and until it is whole the one before stays.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import CompoundSelect, Connection, Engine, create_engine, select, text, union
from sqlalchemy.orm import Session

from defectvision import __version__, atomic
from defectvision.store.age import about
from defectvision.store.copying import copy_rows, remove_rows
from defectvision.store.database import Store, migrate
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import Files
from defectvision.store.sources import Uploads
from defectvision.store.tables import (
    BatchRow,
    EvaluationRow,
    ImageState,
    InspectionRow,
    LabelledImageRow,
    LabelRow,
    ReleaseFileRow,
    now,
)

MANIFEST, FILES, LOCK = "backup.json", "files", ".lock"
DUMP = "database-"  # how the name of the database's file begins


class Manifest(BaseModel):
    """What a backup is.

    made: when, in UTC. identity: of the database, see store/ownership.py. tables: the version of
    its tables. database: its file in the backup; sha256: of that. lost: files that its rows name
    and that the store itself did not have any more.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    program: str
    made: datetime
    identity: str
    tables: str
    database: str
    sha256: str
    files: int
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Needed:
    """A file that rows name. must: whether the store promises to have it; it does not for one that
    could not be inspected."""

    digest: str
    must: bool


def back_up(
    store: Store, target: Path, told: Callable[[int], None] = lambda _: None
) -> tuple[Manifest, int]:
    """Write a backup of the store as it is now into the folder `target`, which is made where it is
    missing; returns what it is and how many files were copied. told: is called with the number of
    files that were looked at.

    Raises StoreError where the folder holds something else or the store cannot be read, and OSError
    where the folder cannot be written.
    """
    target = target.expanduser().absolute()
    with store.reading() as session:
        identity = about(session).identity
    _check_target(store, target, identity)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with FileLock(target / LOCK, timeout=0):
            return _back_up(store, target, identity, told)
    except Timeout as error:
        raise StoreError(f"{target}: another backup is being written there. Wait for it") from error


def _back_up(
    store: Store, target: Path, identity: str, told: Callable[[int], None]
) -> tuple[Manifest, int]:
    made = now()
    dump = target / f"{DUMP}{made:%Y%m%dT%H%M%SZ}-{token_hex(4)}.sqlite3"
    with atomic.replacing(dump) as fresh:
        _dump(store, fresh)
    kept, copied, seen, lost = Files(str(target / FILES)), 0, 0, []
    with opened(dump) as rows:
        for seen, needed in enumerate(files_named(rows), 1):
            told(seen)
            if kept.has(needed.digest):
                continue
            try:
                kept.put(store.files.get(needed.digest))
            except LostFileError:
                if needed.must:
                    lost.append(needed.digest)
            else:
                copied += 1
        tables = rows.scalar(text("select version_num from alembic_version"))
    manifest = Manifest(
        program=__version__,
        made=made,
        identity=identity,
        tables=str(tables),
        database=dump.name,
        sha256=sha256_of(dump),
        files=seen,
        lost=tuple(lost),
    )
    atomic.write_text(target / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    for older in target.glob(f"{DUMP}*"):
        if older != dump:
            older.unlink(missing_ok=True)
    return manifest, copied


def read_manifest(folder: Path) -> Manifest:
    """What a backup is; raises StoreError for a folder that holds none."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be read ({error.strerror}). Name the folder that `defectvision "
            "backup` wrote"
        ) from error
    except ValidationError as error:
        raise StoreError(
            f"{path}: is damaged, or of a newer version. Take another backup, or install that one"
        ) from error


@contextmanager
def opened(dump: Path) -> Iterator[Connection]:
    """The database of a backup, to be read only."""
    engine = create_engine(f"sqlite:///file:{dump}?mode=ro&immutable=1&uri=true")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def files_named(rows: Connection) -> Iterator[Needed]:
    """The files that the rows of a database name, each once at least."""
    digest, failed = InspectionRow.digest, InspectionRow.state == ImageState.FAILED
    waiting = (InspectionRow.state == ImageState.WAITING) & (InspectionRow.path == "")
    must: CompoundSelect[Any] = union(
        select(InspectionRow.record),
        select(InspectionRow.thumbnail),
        select(digest).where(InspectionRow.stored | waiting),
        select(ReleaseFileRow.digest),
        select(EvaluationRow.digest),
        select(LabelledImageRow.digest),
        select(LabelRow.masks),
    )
    may = select(digest).where(failed, InspectionRow.path == "", ~InspectionRow.stored).distinct()
    for wanted, is_must in ((must, True), (may, False)):
        for (name,) in rows.execution_options(yield_per=1000).execute(wanted):
            if name:
                yield Needed(name, is_must)
    for source in Session(rows).scalars(select(BatchRow.source).where(~BatchRow.listed)):
        if isinstance(source, Uploads):
            for file in source.files:
                yield Needed(file.digest, True)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _dump(store: Store, file: Path) -> None:
    """Write the database as it is at one moment, while others go on writing to it."""
    if store.engine.dialect.name == "sqlite":
        try:
            with closing(store.engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM INTO ?", (os.fspath(file),))
        except sqlite3.Error as error:
            raise StoreError(
                f"{file.parent}: the database cannot be copied there ({error}). Free space there, "
                "or look after the database"
            ) from error
        return
    engine: Engine = create_engine(f"sqlite:///{file}")
    migrate(engine)
    snapshot = store.engine.execution_options(isolation_level="REPEATABLE READ")
    with snapshot.connect() as source, engine.begin() as target:
        remove_rows(target)  # those that the migrations write
        copy_rows(source, target)
    engine.dispose()


def _check_target(store: Store, target: Path, identity: str) -> None:
    place = target.resolve()
    for own in (store.folder, store.files.folder):
        if own is not None and (place.is_relative_to(own.resolve())):
            raise StoreError(f"{target}: lies in the store itself. Name a folder on another disk")
    if (target / MANIFEST).is_file():
        if read_manifest(target).identity != identity:
            raise StoreError(
                f"{target}: holds a backup of another store. Name a folder of its own for each"
            )
    elif target.exists():
        left = [one.name for one in target.iterdir() if not _is_ours(one.name)]
        if left:
            raise StoreError(
                f"{target}: holds something else than a backup ({left[0]}). Name an empty folder"
            )


def _is_ours(name: str) -> bool:
    """Whether an entry of a folder is what a backup that was broken off left."""
    return name in (LOCK, FILES) or name.lstrip(".").startswith(DUMP)
