"""Open the database: SQLite in the store's folder, or PostgreSQL by URL."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from defectvision.store.errors import StoreError
from defectvision.store.files import Files
from defectvision.store.folder import DATABASE, FILES, SHARES, kind_of_mount
from defectvision.store.tables import BatchRow, CounterRow
from defectvision.words import writable

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_MS = 30_000  # how long a writer waits for another one
# For libpq, in s and ms: after which a network that swallows everything is an error.
NETWORK = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# For PostgreSQL: a writer that stands still in the middle, as its machine was stopped, lets go of
# what it locked, before others give up waiting for it.
WRITING = "SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL lock_timeout = '30s'"
# For both: a session that only reads sees one moment, whoever writes meanwhile.
READING: dict[str, dict[str, Any]] = {
    "sqlite": {"reads": True},
    "postgresql": {"isolation_level": "REPEATABLE READ"},
}
TOUCHED = "touched"  # the counter that is written where somebody asks whether it can be
MIGRATION_SECONDS = 600  # that one process may take for bringing the tables up to date
MIGRATION_LOCK = 0x6465666563740001  # PostgreSQL's number for it; any that no other program uses


@dataclass(frozen=True)
class Store:
    """An open database and its files; any number of threads may use it."""

    engine: Engine
    files: Files
    folder: Path

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads, all of it as of one moment; it never waits for a writer."""
        with Session(self.engine.execution_options(**READING[self.engine.dialect.name])) as session:
            yield session

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back at an error."""
        engine = self.engine.execution_options(writes=True)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session


@lru_cache(maxsize=4)
def open_store(folder: Path, database: str = "", files: str = "") -> Store:
    """Open the store in `folder`, made and brought up to date where needed; raises StoreError.

    database: a SQLAlchemy URL; SQLite in `folder` where empty. files: an fsspec URL; a folder in
    `folder` where empty.
    """
    try:
        _private(folder, not database, not files)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be made ({error.strerror}). Set DEFECTVISION_STORE to a folder that "
            "may be written"
        ) from error
    address = database or f"sqlite:///{folder / DATABASE}"
    _refuse_share(address)
    with _in_words(address):
        engine = _connect(address)
        # Two processes that start at once must not both build the tables; `migrate` sees to it for
        # servers that share no folder.
        try:
            with FileLock(folder / "migration.lock", timeout=MIGRATION_SECONDS):
                migrate(engine)
        except Timeout as error:
            raise StoreError(
                f"{error.lock_file}: another process has held it for {MIGRATION_SECONDS} s. Let it "
                "bring the store up to date, or end it"
            ) from error
    try:
        kept = Files(files or str((folder / FILES).resolve()))
    except OSError as error:
        raise StoreError(
            f"{files}: cannot be opened ({error.strerror or error}). Check DEFECTVISION_FILES"
        ) from error
    return Store(engine, kept, folder)


def _refuse_share(address: str) -> None:
    """SQLite's writers agree through memory that they share, which machines do not."""
    with _in_words(address):
        url = make_url(address)
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    kind = kind_of_mount(Path(url.database))
    if kind in SHARES:
        raise StoreError(
            f"{url.database}: lies on a network share ({kind}), where machines that write to one "
            "SQLite database damage it. Set DEFECTVISION_DATABASE to a PostgreSQL database for "
            "several machines, or DEFECTVISION_STORE to a folder on a disk of this one"
        )


def open_existing_store(folder: Path, database: str = "", files: str = "") -> Store | None:
    """Like `open_store`, and None where there is no store yet: for those who only ask and must
    leave nothing behind. Raises StoreError."""
    with _in_words(database):
        url = make_url(database or f"sqlite:///{folder / DATABASE}")
        if url.get_backend_name() == "sqlite":
            there = Path(url.database or "").is_file()
        else:
            there = inspect(_connect(database)).has_table(BatchRow.__tablename__)
    return open_store(folder, database, files) if there else None


@dataclass(frozen=True)
class Tables:
    """found: the version of a database's tables, empty where it has none. newest: this program's;
    known: whether it can bring those that were found there."""

    found: str
    newest: str
    known: bool


def tables_of(folder: Path, database: str = "") -> Tables:
    """Which version the tables are of, and nothing is changed; raises StoreError."""
    scripts = ScriptDirectory.from_config(_alembic())
    newest, known = scripts.get_current_head(), {one.revision for one in scripts.walk_revisions()}
    with _in_words(database or str(folder / DATABASE)):
        url = make_url(database or f"sqlite:///{folder / DATABASE}")
        found = None
        if url.get_backend_name() != "sqlite" or Path(url.database or "").is_file():
            with _connect(str(url.render_as_string(hide_password=False))).connect() as connection:
                found = MigrationContext.configure(connection).get_current_revision()
    return Tables(found or "", newest or "", found is None or found in known)


def touch(store: Store) -> None:
    """Write to the database and read it back; raises SQLAlchemy's errors."""
    row = CounterRow.name == TOUCHED
    with store.session() as session:
        session.execute(update(CounterRow).where(row).values(last=CounterRow.last + 1))
    with store.reading() as session:
        session.scalars(select(CounterRow.last).where(row)).one()


def reason_of(error: SQLAlchemyError) -> str:
    """What the database says, in a line; nothing of what was asked."""
    return str(getattr(error, "orig", None) or type(error).__name__).strip().partition("\n")[0]


def in_words(error: SQLAlchemyError) -> str:
    """What is wrong with the database, the reason and the remedy; nothing of what was asked."""
    return (
        f"the database does not answer ({reason_of(error)}). Try again in a while; whoever runs "
        "the server looks after the database and the space on its disk"
    )


@contextmanager
def _in_words(address: str) -> Iterator[None]:
    """Troubles with the database at `address` as StoreError."""
    try:
        yield
    except (ArgumentError, NoSuchModuleError, DBAPIError, CommandError, OSError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise StoreError(
            f"{_shown(address)}: cannot be opened ({reason}). Check DEFECTVISION_DATABASE, or "
            "restore the file from a backup"
        ) from error


def migrate(engine: Engine, version: str = "head") -> None:
    """Bring the tables to a version, the newest where none is named."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = _alembic()
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        settings.attributes["connection"] = connection
        command.upgrade(settings, version)


def _alembic() -> Config:
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    return settings


def _private(folder: Path, database: bool, files: bool) -> None:
    """Make the folder of a store and what lies in it, which nobody but its owner reads. What an
    earlier version left open is closed, but for a group that may write to it, too."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if database:
        (folder / DATABASE).touch(mode=0o600)
    if files:
        (folder / FILES).mkdir(mode=0o700, exist_ok=True)
    for part in (*folder.glob(f"{DATABASE}*"), folder / FILES):
        if part.exists() and (about := part.stat()).st_uid == os.getuid():
            shared = 0o070 if about.st_mode & 0o020 else 0
            closed = stat.S_IMODE(about.st_mode) & (0o7700 | shared)
            if closed != stat.S_IMODE(about.st_mode):
                part.chmod(closed)


def _connect(address: str) -> Engine:
    url = make_url(address)
    if url.get_backend_name() == "postgresql" and url.get_driver_name() == "psycopg2":
        url = url.set(drivername="postgresql+psycopg")
    postgresql = url.get_backend_name() == "postgresql"
    engine = create_engine(
        url,
        pool_pre_ping=True,
        json_serializer=_json,
        connect_args=NETWORK if postgresql else {},
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if postgresql:
        event.listen(engine, "begin", _begin_postgresql)
    return engine


def _json(value: Any) -> str:
    text = json.dumps(value)
    if "\\u0000" in text or "\\ud" in text:  # what no database keeps
        text = json.dumps(_writable(value))
    return text


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, dict):
        return {_writable(key): _writable(one) for key, one in value.items()}
    return [*map(_writable, value)] if isinstance(value, list | tuple) else value


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions late, so that a reader's turn into a writer fails at
    # once instead of waiting; see SQLAlchemy's notes on its SQLite driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # Safe against a crash of the program; a power cut may lose the last commits, never the rest.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        connection.exec_driver_sql(WRITING)


def _shown(address: str) -> str:
    try:
        return make_url(address).render_as_string(hide_password=True)
    except ArgumentError:
        return "the database's address"
