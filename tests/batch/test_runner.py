"""A batch from source to rows: listed, inspected once each, broken off and resumed."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import select

from defectvision.batch.memory import FIRST
from defectvision.batch.runner import work_on
from defectvision.batch.sources import SourceError, folder_source, upload_source
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspector import load_inspector
from defectvision.inference.record import read_record
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches, policies
from defectvision.store.batches import Counts, State
from defectvision.store.database import Store, open_store
from defectvision.store.files import digest_of
from defectvision.store.sources import Folder, Source
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.days import let_days_pass

PARTS = {
    f"{label}_{seed}.png": casting(label, seed) for label in ("ok", "def") for seed in (3, 105)
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def folder_of(parts: dict[str, bytes], folder: Path) -> Path:
    for name, data in parts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return folder


def start(store: Store, weights: Path, source: Source, keep: str = "all") -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", unproven("ada"), keep).id


def run(store: Store, weights: Path, number: int) -> Counts:
    work_on(store, weights, Limits(), number, Event())
    return counts(store, number)


def counts(store: Store, number: int) -> Counts:
    with store.reading() as session:
        return batches.count_images(session, number)


def rows(store: Store, number: int) -> list[InspectionRow]:
    with store.reading() as session:
        wanted = select(InspectionRow).where(InspectionRow.batch_id == number)
        return list(session.scalars(wanted.order_by(InspectionRow.id)))


def state(store: Store, number: int) -> tuple[str, str]:
    with store.reading() as session:
        batch = batches.get_batch(session, number)
        return batch.state, batch.message


def test_the_rows_say_what_the_inspector_says(store, weights, tmp_path) -> None:
    folder = folder_of({**PARTS, "left/notes.png": b"no image"}, tmp_path / "lot")
    number = start(store, weights, folder_source(folder, None))
    assert run(store, weights, number) == Counts(done=4, failed=1)
    assert state(store, number) == (State.DONE, "")
    inspector = load_inspector(weights, "casting", None, Limits())
    for row in rows(store, number):
        if row.state == "failed":
            assert row.name == "left/notes.png" and row.reason and row.remedy
            continue
        found = inspector.inspect(PARTS[row.name], row.name)
        assert row.defect_score == pytest.approx(found.defect_score, abs=1e-6)
        kept = read_record(store.files.get(row.record), inspector.line, row.name)
        assert kept.verdict(inspector.policy) == found.verdict(inspector.policy)
        assert kept.evidence == pytest.approx(found.evidence, abs=1e-5)
        assert kept.inside.tolist() == found.inside.tolist()
        assert store.files.get(row.digest) == PARTS[row.name]
        assert store.files.get(row.thumbnail).startswith(b"\xff\xd8")


def test_the_same_file_is_inspected_once(store, weights, tmp_path) -> None:
    one = PARTS["def_105.png"]
    again = {"a.png": one, "b.png": one, "c/a.png": one, "d.png": PARTS["ok_3.png"]}
    number = start(store, weights, folder_source(folder_of(again, tmp_path / "lot"), None))
    assert run(store, weights, number) == Counts(done=4, repeated=2)
    found = {row.name: row for row in rows(store, number)}
    assert found["b.png"].same_as == found["a.png"].id == found["c/a.png"].same_as
    assert found["b.png"].defect_score == found["a.png"].defect_score
    later = start(store, weights, folder_source(tmp_path / "lot", None))
    assert run(store, weights, later) == Counts(done=4, repeated=4)


def test_uploads_and_zips_are_listed_from_the_store(store, weights) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in PARTS.items():
            archive.writestr(f"left/{name}", data)
        archive.writestr("inner.zip", b"PK\x03\x04")
    files = [("lot.zip", packed.getvalue()), ("ok_3.png", PARTS["ok_3.png"]), ("x.png", b"")]
    files.append(("ok_3.png", PARTS["ok_3.png"]))
    number = start(store, weights, upload_source(files, store.files))
    assert run(store, weights, number) == Counts(done=6, failed=2, repeated=2)
    names = {row.name for row in rows(store, number)}
    assert {"lot.zip/left/ok_3.png", "ok_3.png", "ok_3 (2).png", "x.png"} < names


def test_pause_resume_cancel(store, weights, tmp_path) -> None:
    number = start(store, weights, folder_source(folder_of(PARTS, tmp_path / "lot"), None))
    with store.session() as session:
        batches.move(session, number, State.PAUSED, unproven("ada"))
        assert batches.active_batches(session) == []
    assert run(store, weights, number).total == 0
    with store.session() as session:
        assert batches.move(session, number, State.RUNNING, unproven("ada")) == State.RUNNING
        assert batches.active_batches(session) == [number]
    assert run(store, weights, number).done == 4
    with store.session() as session, pytest.raises(batches.StoreError, match="is done"):
        batches.move(session, number, State.CANCELLED, unproven("ada"))


def test_a_turn_ends_and_the_next_goes_on(store, weights, tmp_path) -> None:
    parts = {f"{i}.png": PARTS["ok_3.png"] + bytes([i]) for i in range(100)}
    number = start(store, weights, folder_source(folder_of(parts, tmp_path / "lot"), None))
    assert work_on(store, weights, Limits(), number, Event(), seconds=0)
    some = counts(store, number)
    assert 0 < some.done < 100 and state(store, number)[0] == State.RUNNING
    assert run(store, weights, number).done == 100


@pytest.mark.parametrize("listed", [False, True])
def test_a_file_that_the_store_lost_spoils_no_other(store, weights, listed) -> None:
    number = start(store, weights, upload_source(PARTS.items(), store.files))
    if listed:
        stopped = Event()
        stopped.set()
        work_on(store, weights, Limits(), number, stopped)
        assert counts(store, number).waiting == 4
    lost = digest_of(PARTS["ok_3.png"])
    (store.folder / "files" / lost[:2] / lost).write_bytes(b"damaged")
    work_on(store, weights, Limits(), number, Event())
    found = counts(store, number)
    assert (found.done, found.failed, found.waiting) == (3, 1, 0), state(store, number)
    (row,) = [r for r in rows(store, number) if r.state == "failed"]
    assert row.name == "ok_3.png" and "is damaged" in row.reason and row.remedy


def test_an_unexpected_error_pauses_with_its_words(store, weights, tmp_path, monkeypatch) -> None:
    number = start(store, weights, folder_source(folder_of(PARTS, tmp_path / "lot"), None))

    def broken(*_: object) -> None:
        raise ArithmeticError("the runtime gave up")

    monkeypatch.setattr("defectvision.store.rows.write_record", broken)
    assert run(store, weights, number).done == 0
    what, why = state(store, number)
    assert what == State.PAUSED and "the runtime gave up" in why


@pytest.mark.parametrize("when", ["before it is listed", "when it is listed", "but for its place"])
def test_a_folder_that_is_gone_is_waited_for(store, weights, tmp_path, when) -> None:
    folder = folder_of(PARTS, tmp_path / "lot")
    number = start(store, weights, folder_source(folder, None))
    if when != "before it is listed":
        stopped = Event()
        stopped.set()
        work_on(store, weights, Limits(), number, stopped)
        assert counts(store, number).waiting == 4
    away = folder.rename(tmp_path / "away")
    if when == "but for its place":  # a share that is not mounted
        folder.mkdir()
    assert not work_on(store, weights, Limits(), number, Event())
    what, why = state(store, number)
    assert what == State.RUNNING and ("is gone" in why or "is empty" in why) and str(folder) in why
    if folder.exists():
        folder.rmdir()
    away.rename(folder)
    assert run(store, weights, number) == Counts(done=4)
    assert state(store, number) == (State.DONE, "")


def test_a_command_waits_for_what_is_away_no_longer_than_it_is_told(
    store, weights, tmp_path
) -> None:
    folder = folder_of(PARTS, tmp_path / "lot")
    number = start(store, weights, folder_source(folder, None))
    away = folder.rename(tmp_path / "away")
    work_on(store, weights, Limits(), number, Event(), patience=-1)
    what, why = state(store, number)
    assert what == State.PAUSED and "is gone" in why
    away.rename(folder)
    with store.session() as session:
        batches.move(session, number, State.RUNNING, unproven("ada"))
    assert state(store, number) == (State.RUNNING, "")
    assert run(store, weights, number).done == 4


@pytest.mark.slow
def test_a_replaced_bundle_ends_the_batch(store, tmp_path) -> None:
    weights = tmp_path / "weights"
    write_bundle(weights, "casting", "resnet50")
    number = start(store, weights, folder_source(folder_of(PARTS, tmp_path / "lot"), None))
    shutil.rmtree(weights)
    write_bundle(weights, "casting", "resnet50", gain=0.4)
    run(store, weights, number)
    what, why = state(store, number)
    assert what == State.FAILED and "was replaced" in why


def test_a_watched_folder_is_followed_until_it_is_stopped(store, weights, tmp_path) -> None:
    folder = folder_of({"ok_3.png": PARTS["ok_3.png"]}, tmp_path / "camera")
    old = time.time() - 60
    os.utime(folder / "ok_3.png", (old, old))
    number = start(store, weights, folder_source(folder, None, watch=True))
    assert run(store, weights, number) == Counts(done=1)
    (folder / "def_105.png").write_bytes(PARTS["def_105.png"])
    assert run(store, weights, number) == Counts(done=1), "still being written"
    os.utime(folder / "def_105.png", (old, old))
    assert run(store, weights, number) == Counts(done=2)
    assert not work_on(store, weights, Limits(), number, Event()), "nothing new"
    assert state(store, number)[0] == State.WATCHING
    with store.session() as session:
        batches.move(session, number, State.DONE, unproven("ada"))
    assert state(store, number)[0] == State.DONE


@pytest.mark.parametrize(
    ("path", "roots", "words"),
    [
        ("lot", ["elsewhere"], "not below a folder"),
        ("lot/../secret", ["lot"], "not below a folder"),
        ("lot/gone", ["lot"], "no such file"),
        ("lot", [], r"\(none\)"),
    ],
)
def test_only_what_lies_below_a_root_is_read(tmp_path, path, roots, words) -> None:
    (tmp_path / "lot").mkdir()
    (tmp_path / "secret").mkdir()
    with pytest.raises(SourceError, match=words):
        folder_source(tmp_path / path, [tmp_path / root for root in roots])


def test_a_link_does_not_lead_out_of_a_root(tmp_path) -> None:
    (tmp_path / "lot").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "lot" / "way").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceError, match="not below"):
        folder_source(tmp_path / "lot" / "way", [tmp_path / "lot"])
    found = folder_source(tmp_path / "lot", [tmp_path])
    assert found == Folder(path=str(tmp_path / "lot"), root=str(tmp_path))


def test_accepted_parts_leave_no_picture_where_only_defects_are_kept(
    store, weights, tmp_path
) -> None:
    folder = folder_of(PARTS, tmp_path / "lot")
    number = start(store, weights, folder_source(folder, None), keep="defects")
    policy = load_bundle(weights, "casting").bundle.policy
    with store.session() as session:
        new = Policy(accept_below=0.4, reject_above=0.9)
        policies.save(session, "casting", "resnet50", new, unproven("ada"), "tighter", policy)
    run(store, weights, number)
    kept = {row.name: (row.stored, row.defect_score) for row in rows(store, number)}
    assert {name: score >= 0.4 for name, (_, score) in kept.items()} == {
        name: stored for name, (stored, _) in kept.items()
    }
    assert set(dict(kept.values())) == {True, False}


IMAGES = 160
# Ends itself without a chance to clean up when it comes to a step for the n-th time; where the
# step is `outside` it says so and goes on, to be killed from there.
KILLED = """
import os, signal, sys
from collections import Counter
from pathlib import Path
from threading import Event
from sqlalchemy import event
from sqlalchemy.orm import Session
from defectvision.batch import claim, memory
from defectvision.batch.runner import work_on
from defectvision.limits import Limits
from defectvision.store.database import open_store

folder, weights, number, last, times = sys.argv[1:]
claim.BEAT_SECONDS = 3600  # a beat commits, too
memory.OfBatch.pace = lambda *times: None  # however fast the machine is
store, taken, rename = open_store(Path(folder)), Counter(), Path.replace

def step(name):
    taken[name] += 1
    if (name, taken[name]) == (last, int(times)):
        os.kill(os.getpid(), signal.SIGKILL)

def replace(self, target):
    step("before a file has its name")
    return rename(self, target)

def committed(session):
    print("committed", flush=True)
    step("after a commit")

Path.replace = replace
event.listen(store.engine, "commit", lambda connection: step("before a commit"))
event.listen(Session, "after_commit", committed)
work_on(store, Path(weights), Limits(), int(number), Event())
"""
# Where the one process after the other is killed, and how many images are listed and done then.
KILLS = [
    ("before a commit", 1, 0, 0),  # of its claim
    ("after a commit", 1, 0, 0),
    ("before a commit", 2, 0, 0),
    ("after a commit", 2, IMAGES, 0),
    ("before a file has its name", 20, IMAGES, 0),
    ("before a commit", 2, IMAGES, 0),  # of the count of tries
    ("after a commit", 5, IMAGES, 2 * FIRST),
    ("before a file has its name", 20, IMAGES, 2 * FIRST),
    ("before a commit", 3, IMAGES, 2 * FIRST),  # from now on each of the next ones goes alone
]


def kill(store: Store, weights: Path, number: int, step: str, times: int = 0) -> None:
    """Start a worker that ends at a step, or from outside when it has claimed and written."""
    worker = subprocess.Popen(
        [sys.executable, "-c", KILLED, store.folder, weights, str(number), step, str(times)],
        stdout=subprocess.PIPE,
    )
    if step == "outside":
        for _ in range(3):  # its claim, a try, an answer
            worker.stdout.readline()
        worker.kill()
    worker.communicate()
    # A worker that is faster than its killer has ended by itself.
    assert worker.returncode in ((-signal.SIGKILL, 0) if step == "outside" else (-signal.SIGKILL,))


def check_whole(store: Store, number: int) -> None:
    """The database is sound, and what is done has all its files."""
    with store.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    for row in rows(store, number):
        assert row.state in ("waiting", "done")
        if row.state == "done":
            for digest in (row.digest, row.record, row.thumbnail):
                store.files.get(digest)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_and_repeats_nothing(store, weights, tmp_path) -> None:
    parts = {}
    for i in range(IMAGES):  # a PNG may be followed by anything: other content, same picture
        parts[f"{i:04d}.png"] = PARTS["ok_3.png" if i % 3 else "def_105.png"] + i.to_bytes(2)
    number = start(store, weights, folder_source(folder_of(parts, tmp_path / "lot"), None))
    for step, times, listed, done in KILLS:
        kill(store, weights, number, step, times)
        check_whole(store, number)
        found = counts(store, number)
        assert (found.total, found.done) == (listed, done), step
    kill(store, weights, number, "outside")
    check_whole(store, number)
    assert 2 * FIRST < counts(store, number).done <= IMAGES
    before = {row.name: (row.id, row.at) for row in rows(store, number) if row.state == "done"}
    assert run(store, weights, number) == Counts(done=IMAGES)
    after = {row.name: (row.id, row.at) for row in rows(store, number)}
    assert sorted(after) == sorted(parts) == sorted(row.name for row in rows(store, number))
    assert before.items() <= after.items(), "what was done is not done again"
    check_whole(store, number)
    let_days_pass(store, 8)
    check_whole(store, number)
    assert not [path for path in (store.folder / "files").rglob(".*") if path.is_file()]
