"""What `defectvision doctor` looks at once the program is whole: machine and store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from defectvision.batch.health import health_of
from defectvision.cli import installation
from defectvision.cli.installation import is_there
from defectvision.finding import Condition, Finding
from defectvision.settings import Settings, SettingsError, settings
from defectvision.store.age import about as about_store
from defectvision.store.age import moment
from defectvision.store.batches import ACTIVE
from defectvision.store.database import Store, in_words, open_existing_store, tables_of
from defectvision.store.errors import StoreError
from defectvision.store.ownership import objection
from defectvision.store.sources import Folder, WatchedFolder
from defectvision.store.tables import BatchRow, now
from defectvision.words import duration

CLOCK_SECONDS = 60.0  # by which this machine's clock may differ from the database's
OK, ATTENTION, BROKEN = Condition


def examine() -> Iterator[Finding]:
    """Each part of the installation, the broken ones among them; what they hinder is left out."""
    try:
        about = settings()
    except SettingsError as error:
        yield Finding("settings", BROKEN, str(error), "Correct the variable, then ask again")
        return
    yield from installation.of_settings(about)
    yield from installation.bundles(about.weights, about.limits.trusted)
    yield from installation.folders(about)
    yield from installation.port(about)
    yield from _of_store(about)


def _of_store(about: Settings) -> Iterator[Finding]:
    try:
        tables = tables_of(about.store, about.database)
    except StoreError as error:
        yield Finding("database", BROKEN, str(error), "Start the database, or set the right one")
        return
    if not tables.known:
        words = f"its tables are of version {tables.found}; this program knows {tables.newest}"
        yield Finding("tables", BROKEN, words, "Install the version that was here before")
    elif not tables.found:
        yield Finding("tables", words="there is no store yet; the first start makes it")
    elif tables.found != tables.newest:
        words = f"version {tables.found}; the next start makes them {tables.newest}"
        yield Finding("tables", ATTENTION, words, "Take a backup, then start the server")
    else:
        yield Finding("tables", words=f"version {tables.found}, the newest")
        yield from health_of(about.store, about.database, about.files).look(oldest=0)
        yield from _of_rows(about)


def _of_rows(about: Settings) -> Iterator[Finding]:
    """What the rows say of files, clock and sources."""
    try:
        store = open_existing_store(about.store, about.database, about.files)
        assert store is not None
        for look in (_ownership, _clock, _sources):
            yield look(store)
    except SQLAlchemyError as error:
        yield Finding("rows", BROKEN, in_words(error), "Look after the database")
    except StoreError as error:
        yield Finding("rows", BROKEN, str(error), "Look after the store's files")


def _ownership(store: Store) -> Finding:
    """Whether database and files are each other's."""
    reason = objection(store)
    with store.reading() as session:
        reason = reason or about_store(session).standstill
    if not reason:
        return Finding("ownership", words="database and files belong together")
    remedy = (
        "Set DEFECTVISION_DATABASE and DEFECTVISION_FILES to those that belong together; where "
        "they do: defectvision store confirm"
    )
    return Finding("ownership", ATTENTION, f"no file is removed: {reason}", remedy)


def _clock(store: Store) -> Finding:
    """Of this machine, beside the database's and the store's own record of time."""
    with store.reading() as session:
        row, there = about_store(session), moment(session)
    differs = (now() - there).total_seconds()
    back = 0.0 if row.seen is None else (row.seen - there).total_seconds()
    remedy = "Set the clock (systemd-timesyncd or chrony)"
    if abs(differs) > CLOCK_SECONDS:
        words = f"this machine's and the database's differ by {duration(abs(differs))}"
        return Finding("clock", ATTENTION, words, remedy)
    if back > CLOCK_SECONDS:
        words = f"it was set back by {duration(back)} since the store saw it last"
        return Finding("clock", ATTENTION, words, remedy)
    if row.age < row.steady_from:
        words = f"it jumped; no file is removed for {duration(row.steady_from - row.age)}"
        return Finding("clock", ATTENTION, words, remedy)
    return Finding("clock", words="steady")


def _sources(store: Store) -> Finding:
    """The folders of batches that are worked on."""
    with store.reading() as session:
        wanted = select(BatchRow.id, BatchRow.source).where(BatchRow.state.in_(ACTIVE))
        rows = session.execute(wanted).all()
    here = Folder | WatchedFolder
    places = {n: Path(source.path) for n, source in rows if isinstance(source, here)}
    gone = [f"batch {n}: {words}" for n, path in places.items() if (words := _lacks(path))]
    if not gone:
        return Finding("sources", words="each folder that a batch reads is there")
    remedy = "Mount the share again, or cancel the batch on the Batches page"
    return Finding("sources", ATTENTION, "; ".join(gone), remedy)


def _lacks(path: Path) -> str:
    try:
        return "" if is_there(path) else f"{path} is empty"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror or error})"
