"""A backup is checked before it is put back, and a restored store is one of its own."""

from __future__ import annotations

import json
import sqlite3

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from defectvision.cli.main import app
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.age import about
from defectvision.store.backup import MANIFEST, back_up, read_manifest
from defectvision.store.database import migrate, open_store
from defectvision.store.dropped import standing
from defectvision.store.errors import StoreError
from defectvision.store.restore import restore
from defectvision.store.retention import delete_batch
from defectvision.store.tables import AccountRow, AuditRow, SignInRow, now
from defectvision.store.workers import say_here
from tests.stand_ins.backups import KINDS, start_and_run
from tests.stand_ins.backups import opened as opened
from tests.stand_ins.bundles import LINES
from tests.stand_ins.days import let_days_pass
from tests.stand_ins.kept_files import contents, lose
from tests.stand_ins.lots import PARTS, counts
from tests.stand_ins.stores import fill


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
    with new.reading() as session:
        assert not batches.count_batches(session) and new.files.mark() is None
    if path.parent.parent.name == "files":
        found = restore(backup, new, without_damaged=True)
        assert found.damaged == (path.name,) and found.files == len(contents(store.files)) - 1
        assert counts(new, 1).done == 6


def test_a_file_that_is_lost_from_the_store_is_said_and_stops_nothing(
    opened, weights, tmp_path, monkeypatch
) -> None:
    store, new, backup = opened(), opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    gone = min(contents(store.files))
    lose(store.files, gone)
    monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
    settings.cache_clear()
    done = CliRunner().invoke(app, ["backup", str(backup), "--json"])
    assert done.exit_code == 1 and json.loads(done.stdout)["lost"] == [gone]
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
    copy = open_store(tmp_path / "copy", database, store.files.url)
    with pytest.raises(StoreError, match="files of another database"):
        restore(backup, copy)
    restore(backup, copy, replace=True)
    before = contents(store.files)
    for one in (copy, store):
        with one.session() as session:
            delete_batch(session, number, unproven("ada"), "a trial")
        assert let_days_pass(one, 100) == (0, 0)
        assert "2 databases share them" in standing(one).standstill
    assert contents(store.files) == before


def test_a_restored_store_has_an_identity_of_its_own_and_says_what_it_is(
    opened, weights, tmp_path
) -> None:
    store, new, backup = opened(), opened(), tmp_path / "backup"
    start_and_run(store, weights, tmp_path / "a", list(PARTS.items()))
    with store.session() as session:
        account = AccountRow(name="Ada", folded="ada", role="admin", secret="$argon2id$")
        session.add(account)
        session.flush()
        session.add(SignInRow(digest="34" * 32, account_id=account.id, until=now()))
    manifest, _ = back_up(store, backup)
    restore(backup, new)
    with new.reading() as session:
        assert session.query(AccountRow).count() == 1 and session.query(SignInRow).count() == 0
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
    files = len(contents(store.files))
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
