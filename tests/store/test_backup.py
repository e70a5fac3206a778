"""A backup of a store in use is whole, and comes back exactly, whichever database it goes to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text, update
from typer.testing import CliRunner

from defectvision.batch import memory
from defectvision.batch.sources import folder_source, upload_source
from defectvision.cli.main import app
from defectvision.people import unproven
from defectvision.settings import settings
from defectvision.store import batches, reviews
from defectvision.store.backup import back_up, read_manifest
from defectvision.store.batches import Counts, State
from defectvision.store.copying import TABLES
from defectvision.store.database import Store
from defectvision.store.restore import restore
from defectvision.store.retention import delete_batch
from defectvision.store.tables import BatchRow, InspectionRow
from tests.stand_ins.backups import KINDS, start_and_run
from tests.stand_ins.backups import opened as opened
from tests.stand_ins.bundles import LINES
from tests.stand_ins.claimed_batches import PATIENCE
from tests.stand_ins.days import let_days_pass
from tests.stand_ins.kept_files import contents
from tests.stand_ins.lots import PARTS, counts, lot, run, server_working, start
from tests.stand_ins.stores import fill


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
    before, files = content(store), contents(store.files)
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
    assert contents(new.files) == files


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
    monkeypatch.setattr(memory, "FIRST", 2)
    monkeypatch.setattr(memory.OfBatch, "pace", lambda *times: None)
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
    assert copied == len(contents(store.files)) > 6
    kept = next((backup / "files").rglob("?" * 64))
    os.utime(kept, (1, 1))
    start_and_run(store, weights, tmp_path / "b", list(PARTS.items())[3:5])
    before, now_ = copied, len(contents(store.files))
    manifest, copied = back_up(store, backup)
    assert (manifest.files, copied) == (now_, now_ - before) and now_ > before
    assert kept.stat().st_mtime == 1
    assert [path.name for path in backup.glob("database-*")] == [manifest.database]
    with store.session() as session:  # nothing that is in a backup is taken out of it
        batches_ = [row.id for row in session.query(BatchRow)]
        delete_batch(session, batches_[0], unproven("ada"), "a trial")
    let_days_pass(store, 8)
    back_up(store, backup)
    assert kept.is_file()


KILLED = """
import sys
from pathlib import Path
from defectvision.store.backup import back_up, read_manifest
from defectvision.store.database import open_store
store = open_store(Path(sys.argv[1]), *sys.argv[2:4])
back_up(store, Path(sys.argv[4]), lambda n: print(n, flush=True))
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
    address = store.engine.url.render_as_string(False)
    what = (sys.executable, "-c", KILLED, store.folder, address, store.files.url, backup)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can mount a small disk")
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_target_leaves_the_backup_before_and_says_why(
    opened, weights, tmp_path, monkeypatch, kind
) -> None:
    store, disk = opened(kind), tmp_path / "disk"
    disk.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk))
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        start_and_run(store, weights, tmp_path / "a", list(PARTS.items())[:2])
        before, _ = back_up(store, disk)
        start_and_run(store, weights, tmp_path / "b", list(PARTS.items())[2:])
        for room in (8 << 10, 600 << 10):
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / ".lock.ballast").write_bytes(bytes(max(0, free - room)))
            monkeypatch.setenv("DEFECTVISION_STORE", str(store.folder))
            database = "" if kind == "sqlite" else str(store.engine.url.render_as_string(False))
            monkeypatch.setenv("DEFECTVISION_DATABASE", database)
            settings.cache_clear()
            done = CliRunner().invoke(app, ["backup", str(disk)])
            if done.exit_code == 2:
                assert "full" in done.stderr or "No space" in done.stderr
                assert read_manifest(disk) == before
            (disk / ".lock.ballast").unlink()
            assert room > 8 << 10 or done.exit_code == 2
        back_up(store, disk)
        new = opened()
        restore(disk, new)
        with new.reading() as session:
            assert batches.count_batches(session) == 2
    finally:
        subprocess.run(("umount", "-l", str(disk)), check=True)
