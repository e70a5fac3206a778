"""A fault is its image's or its batch's alone, and what is away for a moment costs nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from defectvision.batch import answers, reading, sources, worker
from defectvision.batch.memory import Memory
from defectvision.batch.runner import work_on
from defectvision.batch.sources import folder_source, upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store import batches
from defectvision.store.batches import Counts, State
from defectvision.store.database import Store, open_store
from defectvision.store.results import Results
from defectvision.store.sources import Source
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.claimed_batches import DATABASES, PATIENCE, Place

PARTS = {f"{i}.png": casting("def" if i % 2 else "ok", 3) + bytes([i]) for i in range(6)}


def lot(folder: Path, parts: dict[str, bytes] = PARTS) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    return folder


def start(store: Store, weights: Path, source: Source) -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", "ada").id


def run(store: Store, weights: Path, number: int, memory: Memory | None = None) -> Counts:
    work_on(store, weights, Limits(), number, Event(), memory=memory)
    return counts(store, number)


def counts(store: Store, number: int) -> Counts:
    with store.reading() as session:
        return batches.count_images(session, number)


def said(store: Store, number: int) -> tuple[str, str]:
    with store.reading() as session:
        batch = batches.get_batch(session, number)
        return batch.state, batch.message


def rows(store: Store, number: int) -> dict[str, InspectionRow]:
    with store.reading() as session:
        found = session.scalars(select(InspectionRow).where(InspectionRow.batch_id == number))
        return {row.name: row for row in found}


def until(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


# Names


BAD_NAMES = [b"Gr\xf6\xdfe.jpg", b"\xff\xfe.png", b"a\nb\x1b[31m.png", b"\xe2\x80\xae.png"]


@DATABASES
@pytest.mark.parametrize("watch", [False, True])
def test_a_name_that_is_no_text_costs_nothing(database, weights, tmp_path, watch) -> None:
    store = Place(tmp_path, database).open()
    folder = os.fsencode(tmp_path) + b"/l\xf6t"
    os.mkdir(folder)  # noqa: PTH102 - bytes
    for i, name in enumerate([*BAD_NAMES, b"plain.png"]):
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(casting("ok", 3) + bytes([i]))
        os.utime(folder + b"/" + name, (0, 0))
    source = folder_source(Path(os.fsdecode(folder)), None, watch)
    number = start(store, weights, source)
    assert run(store, weights, number) == Counts(done=5), said(store, number)
    found = rows(store, number)
    assert "Gr��e.jpg" in found and "plain.png" in found
    with store.reading() as session:
        assert batches.get_batch(session, number).source == source
    for row in found.values():
        assert Path(row.path).is_file(), "it leads to the file"


@pytest.mark.slow
def test_the_command_line_takes_names_that_are_no_text(weights, tmp_path) -> None:
    folder = os.fsencode(tmp_path) + b"/l\xf6t"
    os.mkdir(folder)  # noqa: PTH102 - bytes
    for name in (*BAD_NAMES, b"broken\xf6.png"):
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 - bytes
            file.write(b"" if b"broken" in name else casting("ok", 3))
    out = tmp_path / "r.csv"
    asked = ("batch", folder, "--line", "casting", "--weights", weights, "--out", out, "--json")
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", *asked], capture_output=True, check=False
    )
    assert done.returncode == 1, done.stderr.decode()
    assert json.loads(done.stdout)["done"] == 4
    assert "broken�.png" in done.stderr.decode() and "Gr��e.jpg" in out.read_text("utf-8-sig")


def test_a_folder_below_that_cannot_be_read_is_named_and_the_others_are_inspected(
    store, weights, tmp_path, monkeypatch
) -> None:
    folder = lot(tmp_path / "lot")
    (folder / "left").mkdir()
    scandir = os.scandir

    def refused(path):
        if os.fspath(path) == str(folder / "left"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    number = start(store, weights, folder_source(folder, None))
    assert run(store, weights, number) == Counts(done=6, failed=1)
    (failed,) = [row for row in rows(store, number).values() if row.state == "failed"]
    assert failed.name.endswith("left") and "Permission denied" in failed.reason


# Images


@pytest.mark.parametrize("parts", [6, 1])
def test_an_error_of_one_image_is_its_own(store, weights, tmp_path, monkeypatch, parts) -> None:
    folder = lot(tmp_path / "lot")
    attempt = Inspector._attempt

    def broken(self, data, name, *more):
        if data == PARTS["3.png"]:
            raise ArithmeticError("the runtime gave up")
        return attempt(self, data, name, *more)

    monkeypatch.setattr(Inspector, "_attempt", broken)
    number = start(store, weights, folder_source(folder, None))
    assert run(store, weights, number) == Counts(done=5, failed=1)
    failed = rows(store, number)["3.png"]
    assert "the runtime gave up" in failed.reason and failed.remedy


def test_an_image_that_takes_for_ever_is_given_up_and_the_others_are_done(
    store, weights, tmp_path, monkeypatch
) -> None:
    folder = lot(tmp_path / "lot")
    attempt, over = Inspector._attempt, Event()

    def endless(self, data, name, *more):
        if data == PARTS["3.png"]:
            over.wait()
        return attempt(self, data, name, *more)

    monkeypatch.setattr(Inspector, "_attempt", endless)
    monkeypatch.setattr(answers, "IMAGE_SECONDS", 3.0)
    monkeypatch.setattr(answers, "EACH_SECONDS", 0.0)
    number = start(store, weights, folder_source(folder, None))
    try:
        assert run(store, weights, number) == Counts(done=5, failed=1)
    finally:
        over.set()
    assert "took longer than 3 s" in rows(store, number)["3.png"].reason


ENDS = """
import os, sys
from pathlib import Path
from threading import Event
from defectvision.batch.runner import work_on
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.store.database import open_store

attempt = Inspector._attempt

def ending(self, data, name, *more):
    if data.endswith(b"\\3"):
        os._exit(139)
    return attempt(self, data, name, *more)

Inspector._attempt = ending
work_on(open_store(Path(sys.argv[1])), Path(sys.argv[2]), Limits(), int(sys.argv[3]), Event())
"""


@pytest.mark.slow
def test_an_image_that_ends_the_program_is_known_by_it(store, weights, tmp_path) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    what = (sys.executable, "-c", ENDS, store.folder, weights, str(number))
    ends = []
    while len(ends) < 20 and (not ends or ends[-1]):
        ends.append(subprocess.run(what, check=False).returncode)
    assert ends == [139] * reading.MOST_TRIES + [0]
    assert counts(store, number) == Counts(done=5, failed=1)
    assert "the program ended" in rows(store, number)["3.png"].reason
    assert said(store, number)[0] == State.DONE


def test_a_full_disk_counts_as_no_try_of_an_image(store, weights, tmp_path, monkeypatch) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    with monkeypatch.context() as full:
        full.setattr(
            Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        for _ in range(8):
            assert run(store, weights, number).waiting == 6
        state, message = said(store, number)
        assert state == State.RUNNING and "No space left" in message
    assert run(store, weights, number) == Counts(done=6)
    assert said(store, number) == (State.DONE, "")


# Reads that hang


@pytest.fixture
def hanging(monkeypatch):
    """Names of files whose reading does not come back until the test is over."""
    names, over = set(), Event()
    read_file = sources.read_file

    def slow(path: Path, *more):
        if path.name in names:
            over.wait()
        return read_file(path, *more)

    monkeypatch.setattr(sources, "read_file", slow)
    monkeypatch.setattr(reading, "READ_SECONDS", 0.2)
    yield names
    over.set()


def test_a_read_that_hangs_holds_up_no_other_image(store, weights, tmp_path, hanging) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    hanging.add("3.png")
    memory = Memory()
    assert run(store, weights, number, memory) == Counts(done=5, waiting=1)
    hanging.clear()
    memory.of(number).later.clear()
    assert run(store, weights, number, memory) == Counts(done=6)


def test_a_share_that_hangs_is_waited_for(store, weights, tmp_path, hanging) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    hanging.update(PARTS)
    started = time.monotonic()
    assert run(store, weights, number).waiting == 6
    assert time.monotonic() - started < 10
    state, message = said(store, number)
    assert state == State.RUNNING and "do not answer" in message
    hanging.clear()
    assert run(store, weights, number) == Counts(done=6)
    assert said(store, number) == (State.DONE, "")


@pytest.fixture
def server(store, weights, monkeypatch):
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    monkeypatch.setattr(worker, "HUNG_SECONDS", 0.5)
    stop = Event()
    what = (lambda: store, weights, Limits(), stop)
    thread = Thread(target=worker.work_forever, args=what)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.slow
def test_a_batch_that_hangs_stops_no_other_and_can_be_cancelled(
    store, weights, tmp_path, monkeypatch, server
) -> None:
    hung, over = lot(tmp_path / "hung"), Event()
    walk = os.walk

    def dead_mount(folder, **more):
        if Path(folder) == hung:
            over.wait()
        return walk(folder, **more)

    monkeypatch.setattr(os, "walk", dead_mount)
    first = start(store, weights, folder_source(hung, None))
    watched = start(store, weights, folder_source(lot(tmp_path / "w"), None, watch=True))
    other = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    try:
        until(lambda: said(store, other)[0] == State.DONE, "the other batch")
        until(lambda: counts(store, watched).done == 6, "the watched folder")
        until(lambda: "listing its files takes longer" in said(store, first)[1], "a word")
        with store.session() as session:
            batches.move(session, first, State.CANCELLED, "ada")
        assert said(store, first)[0] == State.CANCELLED
    finally:
        over.set()


@pytest.mark.slow
def test_a_batch_whose_rows_are_broken_stops_no_other(
    store, weights, tmp_path, monkeypatch, server
) -> None:
    first = start(store, weights, folder_source(lot(tmp_path / "a"), None))
    with store.session() as session:
        session.connection().exec_driver_sql(
            f'update batches set source = \'{{"kind": "nonsense"}}\' where id = {first}'
        )
    other = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    until(lambda: said_of(store, other) == State.DONE, "the other batch")


def said_of(store: Store, number: int) -> str:
    with store.reading() as session:
        return session.scalars(
            select(batches.BatchRow.state).where(batches.BatchRow.id == number)
        ).one()


# What is away


@pytest.mark.parametrize("lacks", ["the folder", "its model", "its line", "half a copy"])
def test_a_bundle_that_is_away_for_a_moment_is_waited_for(store, tmp_path, lacks) -> None:
    weights = tmp_path / "weights"
    write_bundle(weights, "casting", "resnet50")
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    bundle = weights / "casting" / "resnet50"
    gone = {"the folder": bundle, "its model": bundle / "model.onnx"}
    gone |= {"its line": weights / "casting" / "line.json", "half a copy": bundle / "model.onnx"}
    away = gone[lacks].rename(tmp_path / "away")
    if lacks == "half a copy":
        gone[lacks].write_bytes(away.read_bytes()[:1000])
    for _ in range(3):
        assert not work_on(store, weights, Limits(), number, Event())
    state, message = said(store, number)
    assert state == State.RUNNING and message
    away.replace(gone[lacks])
    assert run(store, weights, number) == Counts(done=6)
    assert said(store, number) == (State.DONE, "")


@pytest.mark.slow
def test_another_version_ends_a_batch_that_goes_on_when_the_first_is_back(store, tmp_path) -> None:
    weights = tmp_path / "weights"
    write_bundle(weights, "casting", "resnet50")
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    shutil.copytree(weights, tmp_path / "first")
    shutil.rmtree(weights)
    write_bundle(weights, "casting", "resnet50", gain=0.4)
    assert run(store, weights, number).waiting == 6
    state, message = said(store, number)
    assert state == State.FAILED and "was replaced" in message
    shutil.rmtree(weights)
    (tmp_path / "first").rename(weights)
    with store.session() as session:
        assert batches.move(session, number, State.RUNNING, "ada") == State.RUNNING
    assert run(store, weights, number) == Counts(done=6)
    with store.session() as session, pytest.raises(batches.StoreError, match="is done"):
        batches.move(session, number, State.RUNNING, "ada")


def test_the_stores_files_that_are_away_are_waited_for(store, weights) -> None:
    number = start(store, weights, upload_source(PARTS.items(), store.files))
    files = Path(store.files.url)
    away = files.rename(files.with_name("away"))
    assert run(store, weights, number).failed == 0
    assert said(store, number)[0] == State.RUNNING and str(files) in said(store, number)[1]
    shutil.rmtree(files, ignore_errors=True)
    away.rename(files)
    assert run(store, weights, number) == Counts(done=6)


def test_a_database_that_is_away_costs_nothing(store, weights, tmp_path, monkeypatch) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    database, away = store.folder / "defectvision.sqlite3", store.folder / "away"
    inspect_many = Inspector.inspect_many

    def lose_it(*given, **more):
        found = list(inspect_many(*given, **more))
        store.engine.dispose()
        database.rename(away)
        database.mkdir()
        return iter(found)

    with monkeypatch.context() as losing, pytest.raises(OperationalError):
        losing.setattr(Inspector, "inspect_many", lose_it)
        work_on(store, weights, Limits(), number, Event())
    database.rmdir()
    away.rename(database)
    assert said(store, number) == (State.RUNNING, "")
    memory = Memory()
    monkeypatch.setattr(memory.rivals, "is_gone", lambda *_: True)  # it could not let go
    assert run(store, weights, number, memory) == Counts(done=6)


# What the store lost


def test_a_damaged_answer_is_mended_when_the_picture_is_given_again(store, weights) -> None:
    number = start(store, weights, upload_source(PARTS.items(), store.files))
    assert run(store, weights, number).done == 6
    row = rows(store, number)["3.png"]
    for digest, damage in ((row.digest, b""), (row.record, b"x"), (row.thumbnail, None)):
        file = Path(store.files.url) / digest[:2] / digest
        file.write_bytes(damage) if damage is not None else file.unlink()
    found = Results.open(store, number)
    assert found.one(row.id).thumbnail() == b""
    again = start(store, weights, upload_source([("again.png", PARTS["3.png"])], store.files))
    assert run(store, weights, again).done == 1
    mended = found.one(row.id)
    assert mended.picture() == PARTS["3.png"] and mended.thumbnail()
    assert mended.inspection.defect_score == pytest.approx(row.defect_score, abs=1e-6)


@pytest.mark.slow
def test_one_lost_answer_spoils_neither_a_page_nor_an_export(tmp_path, monkeypatch) -> None:
    from defectvision.limits import PIXELS
    from defectvision.report.batch_export import Leaving
    from tests.stand_ins.strips import encoded, steel, strip_with

    weights = tmp_path / "weights"
    write_bundle(weights, "severstal-strip", "unet")
    store = open_store(tmp_path / "store")
    parts = {f"{i}.png": encoded(strip_with()) + bytes([i]) for i in range(3)}
    loaded = load_bundle(weights, "severstal-strip")
    with store.session() as session:
        source = upload_source([*parts.items(), ("s.png", encoded(steel()))], store.files)
        number = batches.add_batch(session, loaded, source, "lot", "ada").id
    assert run(store, weights, number).done == 4
    row = rows(store, number)["1.png"]
    for digest in (row.record, row.digest):
        (store.folder / "files" / digest[:2] / digest).unlink()
    results = Results.open(store, number)
    cut_anew = loaded.bundle.policy.model_copy(update={"smallest_region_px": 7})
    selection = results.selection(cut_anew)
    out = Leaving(results, selection, "policy 3", loaded, PIXELS)
    for about in out.formats():
        content = about.make()
        assert content, about.title
    objects = {one["path"]: one for one in json.loads(out.json())}
    assert objects["1.png"]["regions"] is None and "is missing" in objects["1.png"]["lost"]
    assert objects["0.png"]["regions"] and "lost" not in objects["0.png"]
    assert "is missing" in out.csv().decode() and "is missing" in out.regions_csv().decode()
    coco = json.loads(out.coco())
    assert len(coco["images"]) == 3 and "1.png" in coco["info"]["left_out"][0]
    with zipfile.ZipFile(io.BytesIO(out.masks())) as masks:
        assert "1.png" in masks.read("left_out.csv").decode()


@pytest.mark.slow
def test_the_command_says_what_is_away_and_gives_up_in_time(weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(worker, "AWAY_SECONDS", 1.0)
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.1)
    folder = lot(tmp_path / "lot")
    listing = sources.images_below

    def taken_away(path, *more):
        if folder.exists():
            folder.rename(tmp_path / "away")
        return listing(path, *more)

    monkeypatch.setattr(sources, "images_below", taken_away)
    asked = (
        "batch",
        folder,
        "--line",
        "casting",
        "--weights",
        weights,
        "--out",
        tmp_path / "r.csv",
    )
    done = CliRunner().invoke(app, [*map(str, asked)])
    assert done.exit_code == 2 and "lot" in done.stderr
