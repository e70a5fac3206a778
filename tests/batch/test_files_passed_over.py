"""A batch counts the files of its source that are no images, and every way to it says so."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from threading import Event

import pytest
from typer.testing import CliRunner

from defectvision.batch import runner
from defectvision.batch.runner import work_on
from defectvision.batch.sources import folder_source, upload_source
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import State
from defectvision.store.database import Store, open_store
from defectvision.store.sources import Source
from defectvision.web.session.images import Images
from tests.stand_ins.castings import casting

PART = casting("ok", 3)
LOT = {
    "a.png": PART, "b.png": PART + b"b", "notes.txt": b"-", "left/a.xml": b"-", "left/b.xml": b"-",
    ".DS_Store": b"-", "README": b"-",
}  # fmt: skip
COUNTS = {".txt": 1, ".xml": 2, "without suffix": 1}
WORDS = "4 files passed over: 2 .xml, 1 .txt, 1 without suffix"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def lot(folder: Path, files: dict[str, bytes] = LOT) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: dict[str, bytes] = LOT) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def start(store: Store, weights: Path, source: Source) -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", unproven("ada")).id


def passed_over(store: Store, number: int) -> dict[str, int]:
    with store.reading() as session:
        return batches.get_batch(session, number).passed_over


@pytest.mark.parametrize("kind", ["folder", "zip", "upload", "two uploads"])
def test_a_batch_keeps_the_counts(store, weights, tmp_path, kind) -> None:
    source: Source
    if kind == "folder":
        source = folder_source(lot(tmp_path / "lot"), None)
    elif kind == "zip":
        (tmp_path / "lot.zip").write_bytes(zipped())
        source = folder_source(tmp_path / "lot.zip", None)
    else:
        files = [(f"{i}.zip", zipped()) for i in range(2 if kind == "two uploads" else 1)]
        source = upload_source([*files, ("x.png", PART)], store.files)
    number = start(store, weights, source)
    assert passed_over(store, number) == {}
    work_on(store, weights, Limits(), number, Event())
    times = 2 if kind == "two uploads" else 1
    assert passed_over(store, number) == {key: times * n for key, n in COUNTS.items()}


def test_a_listing_that_was_broken_off_counts_each_file_once(
    store, weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(runner, "LISTED", 1)
    number = start(store, weights, folder_source(lot(tmp_path / "lot"), None))
    stopped = Event()
    stopped.set()
    work_on(store, weights, Limits(), number, stopped)
    assert passed_over(store, number) == {}, "not all was seen"
    for _ in range(2):
        work_on(store, weights, Limits(), number, Event())
        assert passed_over(store, number) == COUNTS


def test_a_watched_folder_says_what_lies_there_now(store, weights, tmp_path) -> None:
    folder = lot(tmp_path / "camera", {"a.png": PART, "a.tmp": b"-"})
    old = time.time() - 60
    os.utime(folder / "a.png", (old, old))
    number = start(store, weights, folder_source(folder, None, watch=True))
    for name, expected in ((None, {".tmp": 1}), ("b.txt", {".tmp": 1, ".txt": 1}), (None, None)):
        if name:
            (folder / name).write_bytes(b"-")
        elif expected is None:
            (folder / "a.tmp").unlink()
        work_on(store, weights, Limits(), number, Event())
        assert passed_over(store, number) == (expected or {".txt": 1})
    with store.reading() as session:
        row = batches.get_batch(session, number)
        assert (row.state, row.listed) == (State.WATCHING, False)


def test_a_folder_without_an_image_says_what_is_there(store, weights, tmp_path) -> None:
    folder = lot(tmp_path / "lot", {"a.cr2": b"-", "b.cr2": b"-"})
    number = start(store, weights, folder_source(folder, None))
    work_on(store, weights, Limits(), number, Event())
    with store.reading() as session:
        message = batches.get_batch(session, number).message
    assert "without an image (2 files passed over: 2 .cr2)" in message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("options", [("inspect",), ("inspect", "--json"), ("batch",), ("--json",)])
def test_the_command_line_says_it_beside_its_results(weights, tmp_path, options, packed) -> None:
    source = tmp_path / "lot.zip" if packed else lot(tmp_path / "lot")
    if packed:
        source.write_bytes(zipped())
    asked = [source, "--line", "casting", "--weights", weights]
    if "inspect" in options:
        asked = [*options, *asked]
    else:
        more = [option for option in options if option != "batch"]
        asked = ["batch", *asked, *more, "--out", tmp_path / "out.csv"]
    done = CliRunner().invoke(app, [str(word) for word in asked])
    assert done.exit_code == 0, done.output
    assert WORDS in " ".join(done.stderr.split()) and "passed over" not in done.stdout
    if "--json" in asked:
        assert all(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", ["inspect", "batch"])
def test_nothing_is_said_where_all_are_images(weights, tmp_path, command) -> None:
    folder = lot(tmp_path / "lot", {"a.png": PART})
    asked = [command, folder, "--line", "casting", "--weights", weights]
    asked += ["--out", tmp_path / "out.csv"] if command == "batch" else []
    done = CliRunner().invoke(app, [str(word) for word in asked])
    assert done.exit_code == 0 and "passed over" not in done.output


def test_a_session_counts_for_each_line_until_it_is_cleared() -> None:
    images = Images()
    images.queue("casting", [("lot.zip", zipped()), ("x.png", PART)])
    images.queue("neu-surface", [("x.png", PART)])
    for line in ("casting", "neu-surface"):
        list(images.take_in(line))
    assert images.passed_over["casting"].words == WORDS and not images.passed_over["neu-surface"]
    images.queue("casting", [("lot.zip", zipped())])
    list(images.take_in("casting"))
    assert images.passed_over["casting"].total() == 8
    images.clear("casting")
    assert "casting" not in images.passed_over
