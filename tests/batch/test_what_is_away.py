"""What is away, lost or badly named for a moment costs nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from defectvision.batch import sources, worker
from defectvision.batch.memory import Memory
from defectvision.batch.runner import work_on
from defectvision.batch.sources import folder_source, upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.inference.inspector import Inspector
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Counts, State
from defectvision.store.database import open_store
from defectvision.store.results import Results
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.claimed_batches import DATABASES, Place
from tests.stand_ins.lots import PARTS, lot, rows, run, said, start

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
    opened = os.open

    def refused(path, *more, **named):
        if path == "left":
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *more, **named)

    monkeypatch.setattr(os, "open", refused)
    number = start(store, weights, folder_source(folder, None))
    assert run(store, weights, number) == Counts(done=6, failed=1)
    (failed,) = [row for row in rows(store, number).values() if row.state == "failed"]
    assert failed.name.endswith("left") and "Permission denied" in failed.reason


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
        assert batches.move(session, number, State.RUNNING, unproven("ada")) == State.RUNNING
    assert run(store, weights, number) == Counts(done=6)
    with store.session() as session, pytest.raises(batches.StoreError, match="is done"):
        batches.move(session, number, State.RUNNING, unproven("ada"))


def test_a_batch_goes_on_whose_version_was_told_as_before(store, weights, tmp_path) -> None:
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    with store.session() as session:
        earlier = load_bundle(weights, "casting").earlier_version
        batches.get_batch(session, number).bundle_version = earlier
    assert run(store, weights, number) == Counts(done=6)


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
        number = batches.add_batch(session, loaded, source, "lot", unproven("ada")).id
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
    assert len(coco["images"]) == 3 and coco["info"]["not_inspected"][0]["path"] == "1.png"
    with zipfile.ZipFile(io.BytesIO(out.masks())) as masks:
        assert "1.png" in masks.read("not_inspected.csv").decode()


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
