"""A backup of a store in use is whole, and comes back exactly, whichever database it goes to."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text, update
from typer.testing import CliRunner

from defectvision.batch import runner
from defectvision.batch.sources import folder_source, upload_source
from defectvision.cli.main import app
from defectvision.settings import settings
from defectvision.store import batches, reviews
from defectvision.store.age import about
from defectvision.store.backup import MANIFEST, back_up, read_manifest
from defectvision.store.batches import Counts, State
from defectvision.store.copying import TABLES
from defectvision.store.database import Store, migrate, open_store
from defectvision.store.dropped import standing
from defectvision.store.errors import StoreError
from defectvision.store.restore import restore
from defectvision.store.retention import delete_batch
from defectvision.store.tables import AuditRow, BatchRow, InspectionRow
from defectvision.store.workers import say_here
from tests.stand_ins.bundles import LINES
from tests.stand_ins.claimed_batches import PATIENCE
from tests.stand_ins.days import let_days_pass
from tests.stand_ins.lots import PARTS, counts, lot, run, server_working, start
from tests.stand_ins.stores import fill

KINDS = ("sqlite", "postgresql")


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest):
    """Opens a store of a kind, each with its own folder, database and files."""
    count = 0

    def open_one(kind: str = "sqlite") -> Store:
        nonlocal count
        count += 1
        database = request.getfixturevalue("postgres")() if kind == "postgresql" else ""
        return open_store(tmp_path / f"store-{count}", database)

    return open_one


def content(store: Store) -> dict[str, list[tuple]]:
    """Every row as the database itself has it, JSON as its text and whether it is NULL."""
    found = {}
    with store.engine.connect() as connection:
        for table in TABLES:
            columns = ", ".join(
                f"cast({c.name} as text)"
                if "JSON" in repr(c.type) or c.name == "source"
                else c.name
                for c in table.columns
            )
            rows = connection.execute(text(f"select {columns} from {table.name}"))
            found[table.name] = sorted(map(_plain, rows), key=repr)
    return found


def _plain(row: tuple) -> tuple:
    """As one database shows it and the other."""
    moments = (str(v).replace("+00:00", "") if hasattr(v, "tzinfo") else v for v in row)
    return tuple(int(v) if isinstance(v, bool) else v for v in moments)


def files_of(store: Store) -> dict[str, bytes]:
    folder = store.files.folder
    assert folder is not None
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file() and len(p.name) == 64}


def full(store: Store, weights: Path, folder: Path) -> int:
    """A store with something in every table, and what is hard to copy in it; returns a batch."""
    fill(store, LINES["magnetic-tile"], 20, outlines=True)
    number = start(store, weights, upload_source(PARTS.items(), store.files))
    assert run(store, weights, number).done == 6
    with store.session() as session:
        ids = [row.id for row in session.query(InspectionRow).order_by(InspectionRow.id)]
        first, last = ids[0], ids[-1]
        session.execute(  # of a batch that went on after a younger one
            update(InspectionRow).where(InspectionRow.id == first).values(same_as=last)
        )
        session.get_one(InspectionRow, last).path = "/lot/\udcff\N{SNOWMAN}.png"
        session.get_one(InspectionRow, last).regions = None  # JSON's null
        for decision in ("accept", "undo", "reject"):
            undoes = session.query(reviews.ReviewRow).count() if decision == "undo" else None
            session.add(
                reviews.ReviewRow(
                    inspection_id=first, who="ada \N{SNOWMAN}", decision=decision, undoes=undoes,
                    policy={"a": 0.1}, model_verdict="review",
                )
            )  # fmt: skip
            session.flush()
    return number


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_every_row_and_file_comes_back_exactly(opened, weights, tmp_path, source, target) -> None:
    store, new = opened(source), opened(target)
    full(store, weights, tmp_path)
    before, files = content(store), files_of(store)
    manifest, copied = back_up(store, tmp_path / "backup")
    assert content(store) == before, "a backup changes nothing"
    assert (manifest.files, copied, manifest.lost) == (len(files), len(files), ())
    found = restore(tmp_path / "backup", new)
    after = content(new)
    for table in TABLES:
        if table.name not in ("about_store", "audit", "workers"):
            assert after[table.name] == before[table.name], table.name
    assert set(before["audit"]) <= set(after["audit"])
    assert found.rows["inspections"] == len(before["inspections"]) == 26
    assert files_of(new) == files


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_store_goes_on(opened, weights, tmp_path, kind) -> None:
    store, new = opened(), opened(kind)
    number = full(store, weights, tmp_path)
    back_up(store, tmp_path / "backup")
    restore(tmp_path / "backup", new)
    with new.session() as session:
        session.add(reviews.ReviewRow(inspection_id=1, who="bo", decision="accept", policy={},
                                      model_verdict="review"))  # fmt: skip
    again = start(new, weights, folder_source(lot(tmp_path / "lot"), None))
    assert again == number + 1 and run(new, weights, again) == Counts(done=6, repeated=6)


@pytest.mark.slow
@pytest.mark.parametrize("source", KINDS)
def test_a_backup_taken_while_batches_are_worked_on_is_of_one_moment(
    opened, weights, tmp_path, monkeypatch, source
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 2)
    store = opened(source)
    parts = {f"{i}.png": PARTS["1.png"] + i.to_bytes(2) for i in range(60)}
    folder = lot(tmp_path / "lot", parts)
    number = start(store, weights, folder_source(folder, None))
    ours = start(store, weights, upload_source(list(parts.items())[:20], store.files))
    backups = tmp_path / "backup"
    taken = []
    with server_working(store, weights):
        end = time.monotonic() + PATIENCE
        while counts(store, number).done < 60 or counts(store, ours).done < 20:
            assert time.monotonic() < end
            if counts(store, number).done > len(taken) * 10:
                manifest, _ = back_up(store, backups)
                new = opened(KINDS[len(taken) % 2])
                found = restore(backups, new)
                assert manifest.lost == found.damaged == ()
                then = counts(new, number), counts(new, ours)
                assert then[0].total == 60 and not then[0].failed
                with new.reading() as session:
                    for row in session.query(InspectionRow):
                        kept = row.record, row.thumbnail, row.digest if row.stored else None
                        assert all(new.files.is_whole(digest) for digest in kept if digest)
                taken.append((new, then[0].done))
    assert len(taken) >= 2 and any(0 < done < 60 for _, done in taken)
    for new, _ in taken:  # what was not yet inspected then is inspected there
        for batch in (number, ours):
            run(new, weights, batch)
            with new.reading() as session:
                assert batches.get_batch(session, batch).state == State.DONE
        assert counts(new, number).done == 60 and counts(new, ours).done == 20


def test_only_what_is_new_is_copied_again(opened, weights, tmp_path) -> None:
    store, backup = opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items())[:3])
    _, copied = back_up(store, backup)
    assert copied == len(files_of(store)) > 6
    kept = next((backup / "files").rglob("?" * 64))
    os.utime(kept, (1, 1))
    start_and_run(store, weights, tmp_path / "b", list(PARTS.items())[3:5])
    before, now_ = copied, len(files_of(store))
    manifest, copied = back_up(store, backup)
    assert (manifest.files, copied) == (now_, now_ - before) and now_ > before
    assert kept.stat().st_mtime == 1
    assert [path.name for path in backup.glob("database-*")] == [manifest.database]
    with store.session() as session:  # nothing that is in a backup is taken out of it
        batches_ = [row.id for row in session.query(BatchRow)]
        delete_batch(session, batches_[0], "ada", "a trial")
    let_days_pass(store, 8)
    back_up(store, backup)
    assert kept.is_file()


def start_and_run(store: Store, weights: Path, folder: Path, parts: list) -> int:
    number = start(store, weights, folder_source(lot(folder, dict(parts)), None))
    assert run(store, weights, number).failed == 0
    return number


KILLED = """
import sys
from pathlib import Path
from defectvision.store.backup import back_up
from defectvision.store.database import open_store
back_up(open_store(Path(sys.argv[1])), Path(sys.argv[2]), lambda n: print(n, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("looked_at", [1, 5, 11])
def test_a_backup_that_is_killed_leaves_the_one_before(
    opened, weights, tmp_path, looked_at
) -> None:
    store, backup = opened(), tmp_path / "backup"
    first = start_and_run(store, weights, tmp_path / "a", list(PARTS.items())[:2])
    back_up(store, backup)
    start_and_run(store, weights, tmp_path / "b", list(PARTS.items())[2:])
    what = (sys.executable, "-c", KILLED, store.folder, backup)
    process = subprocess.Popen(what, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline().strip() != str(looked_at):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    new = opened()
    restore(backup, new)
    assert counts(new, first).done == 2
    with new.reading() as session:
        assert batches.count_batches(session) == 1
    back_up(store, backup)
    again = opened()
    restore(backup, again)
    with again.reading() as session:
        assert batches.count_batches(session) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("broken", ["database", "no database", "manifest", "no manifest", "file",
                                    "no file"])  # fmt: skip
def test_a_damaged_backup_writes_no_row(opened, weights, tmp_path, kind, broken) -> None:
    store, new, backup = opened(), opened(kind), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    manifest, _ = back_up(store, backup)
    path = {"database": backup / manifest.database, "manifest": backup / MANIFEST}.get(
        broken.split()[-1], next((backup / "files").rglob("?" * 64))
    )
    if broken.startswith("no "):
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged|cannot be read"):
        restore(backup, new)
    assert not content(new)["batches"] and new.files.mark() is None
    if path.parent.parent.name == "files":
        found = restore(backup, new, without_damaged=True)
        assert found.damaged == (path.name,) and found.files == len(files_of(store)) - 1
        assert counts(new, 1).done == 6


def test_a_file_that_is_lost_from_the_store_is_said_and_stops_nothing(
    opened, weights, tmp_path, monkeypatch
) -> None:
    store, new, backup = opened(), opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    gone = next(store.files.folder.rglob("?" * 64))
    gone.unlink()
    monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
    settings.cache_clear()
    done = CliRunner().invoke(app, ["backup", str(backup), "--json"])
    assert done.exit_code == 1 and json.loads(done.stdout)["lost"] == [gone.name]
    assert restore(backup, new).damaged == ()
    assert counts(new, 1).done == 6


def test_a_store_that_is_not_empty_is_kept_unless_told(opened, weights, tmp_path) -> None:
    store, new, backup = opened(), opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    back_up(store, backup)
    fill(new, LINES["magnetic-tile"], 3)
    with pytest.raises(StoreError, match="--replace"):
        restore(backup, new)
    with new.session() as session:
        say_here(session, "a server")
    with pytest.raises(StoreError, match="1 worker is at the store"):
        restore(backup, new, replace=True)
    with new.session() as session:
        session.execute(text("delete from workers"))
        assert batches.count_batches(session) == 1 and batches.count_images(session, 1).total == 3
    restore(backup, new, replace=True)
    assert counts(new, 1).done == 6
    restore(backup, new, replace=True)
    assert counts(new, 1).done == 6 and len(new.files.mark()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_copy_on_the_living_stores_files_removes_none_of_them(
    opened, weights, tmp_path, kind, request
) -> None:
    store, backup = opened(), tmp_path / "backup"
    number = start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    store.files.set_mark({standing(store).identity: 0})
    back_up(store, backup)
    database = request.getfixturevalue("postgres")() if kind == "postgresql" else ""
    copy = open_store(tmp_path / "copy", database, str(store.folder / "files"))
    with pytest.raises(StoreError, match="files of another database"):
        restore(backup, copy)
    restore(backup, copy, replace=True)
    before = files_of(store)
    for one in (copy, store):
        with one.session() as session:
            delete_batch(session, number, "ada", "a trial")
        assert let_days_pass(one, 100) == (0, 0)
        assert "2 databases share them" in standing(one).standstill
    assert files_of(store) == before


def test_a_restored_store_has_an_identity_of_its_own_and_says_what_it_is(
    opened, weights, tmp_path
) -> None:
    store, new, backup = opened(), opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    manifest, _ = back_up(store, backup)
    restore(backup, new)
    with new.reading() as session:
        row = about(session)
        assert row.identity != manifest.identity == standing(store).identity
        assert new.files.mark() == {row.identity: row.writes}
        (told,) = [a for a in session.query(AuditRow) if a.what == "store restored"]
        assert told.details["of"] == manifest.identity
        assert row.steady_from > row.age, "nothing is removed at once"


@pytest.mark.parametrize("place", ["store", "files", "other", "another store's"])
def test_a_backup_goes_into_a_place_of_its_own(opened, weights, tmp_path, place) -> None:
    store = opened()
    target = {"store": store.folder / "b", "files": store.folder / "files"}.get(place)
    if target is None:
        target = tmp_path / "there"
    if place == "other":
        target.mkdir()
        (target / "thesis.odt").write_bytes(b"")
    if place == "another store's":
        back_up(opened(), target)
    with pytest.raises(StoreError, match=r"in the store itself|something else|another store"):
        back_up(store, target)
    assert not (target / MANIFEST).exists() or place == "another store's"


def test_a_backup_of_an_earlier_version_is_brought_up_to_date(opened, tmp_path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    dump = backup / "database-1.sqlite3"
    migrate(create_engine(f"sqlite:///{dump}"), "0006")
    with sqlite3.connect(dump) as database:
        database.execute("insert into lines (name, content) values ('casting', '{}')")
    database.close()
    from defectvision.store.backup import Manifest, sha256_of

    manifest = Manifest(
        program="0.0.9", made="2026-01-01T00:00:00Z", identity="1", tables="0006",
        database=dump.name, sha256=sha256_of(dump), files=0,
    )  # fmt: skip
    (backup / MANIFEST).write_text(manifest.model_dump_json())
    new = opened()
    assert restore(backup, new).rows["lines"] == 1
    assert sha256_of(dump) == manifest.sha256, "the backup stays as it is"
    newer = manifest.model_copy(update={"tables": "9999"})
    with sqlite3.connect(dump) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()
    newer = newer.model_copy(update={"sha256": sha256_of(dump)})
    (backup / MANIFEST).write_text(newer.model_dump_json())
    with pytest.raises(StoreError, match="newer version"):
        restore(backup, opened())


def test_the_commands_say_what_they_did(opened, weights, tmp_path, monkeypatch) -> None:
    store, backup = opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
    settings.cache_clear()
    done = CliRunner().invoke(app, ["backup", str(backup)])
    files = len(files_of(store))
    assert done.exit_code == 0, done.stderr
    assert f"{files} files, {files} of them new" in done.stdout
    assert backup.stat().st_mode & 0o077 == 0
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "new"))
    settings.cache_clear()
    done = CliRunner().invoke(app, ["restore", str(backup)])
    assert done.exit_code == 0 and f"1 batch with 6 images and {files} files" in done.stdout
    done = CliRunner().invoke(app, ["restore", str(backup)])
    assert done.exit_code == 2 and "--replace" in done.stderr
    done = CliRunner().invoke(app, ["restore", str(tmp_path)])
    assert done.exit_code == 2 and "Name the folder" in done.stderr
    assert read_manifest(backup).files == files
