"""Every failure has an answer in words: below 500, or 503 with the reason."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient
from typer.testing import CliRunner

from defectvision import __version__
from defectvision.api.app import api
from defectvision.api.stored import the_store
from defectvision.batch.health import health_of
from defectvision.batch.sources import SourceError, folder_source
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import ABOUT_FILE, MODEL_FILE
from defectvision.cli.main import app
from defectvision.inference.inspector import load_inspector
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.roots import NotAllowedError, below_a_root
from defectvision.settings import settings
from defectvision.store import audit, batches, database, reviews
from defectvision.store.database import Store, open_store
from defectvision.store.sources import Folder
from defectvision.store.tables import BatchRow
from defectvision.store.workers import say_here
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.stores import fill, new_store

TOKEN = {"Authorization": "Bearer secret-of-mes"}
HALF, NUL = r"\ud800", r"\u0000"


@pytest.fixture
def client(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(weights))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(tmp_path)]))
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", '{"mes": "secret-of-mes"}')
    settings.cache_clear()
    yield TestClient(api, raise_server_exceptions=False)
    settings.cache_clear()


def post(client: TestClient, path: str, body: str):
    headers = TOKEN | {"Content-Type": "application/json"}
    return client.post(f"/v1{path}", headers=headers, content=body.encode())


@pytest.mark.parametrize("hostile", [HALF, NUL, HALF + NUL])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/inspections/1/reviews", '{"decision": "accept", "why": "%s"}'),
        ("/inspections/1/reviews", '{"decision": "reject", "label": "%s"}'),
        ("/inspections/1/reviews", '{"decision": "%s"}'),
        ("/batches", '{"line": "casting", "path": "/x%s"}'),
        ("/batches", '{"line": "%s", "path": "/x"}'),
        ("/batches", '{"line": "casting", "bundle": "%s", "path": "/x"}'),
        ("/batches", '{"line": "casting", "path": "/x", "title": "%s", "keep": "%s"}'),
        ("/batches/1/state", '{"state": "%s"}'),
        ("/batches/1/state", '"%s'),
        ("/batches/1/state", "%s"),
    ],
)
def test_no_text_breaks_the_answer(client, path, body, hostile) -> None:
    fill(the_store(), LINES["casting"], 1)
    answer = post(client, path, body.replace("%s", hostile))
    assert 400 <= answer.status_code < 500 and answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/{root}/" + "x" * 300, "/{root}/loop", "~nobody-there/x", "/{root}/" + "y/" * 1800],
)
def test_a_path_that_no_system_takes_is_refused(client, tmp_path, path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = path.replace("/{root}", str(tmp_path))
    answer = post(client, "/batches", json.dumps({"line": "casting", "path": path}))
    assert answer.status_code == 403 and answer.json()["detail"]
    with pytest.raises(SourceError):
        folder_source(Path(path), [tmp_path])
    with pytest.raises((NotAllowedError, SourceError)):
        folder_source(below_a_root(Path(path), [tmp_path]), [tmp_path])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_no_database_keeps_is_marked_and_the_rest_is_kept(kind, tmp_path, request) -> None:
    new_database = request.getfixturevalue("postgres") if kind == "postgresql" else str
    store = new_store(tmp_path, new_database())
    odd = "a\x00b\ud800c"
    number = fill(store, LINES["casting"], 1)
    with store.session() as session:
        reviews.decide(session, 1, unproven(odd), "accept", Policy(), "", odd)
        batches.get_batch(session, number).source = Folder(path="/x\x00y", root=None)
        batches.move(session, number, batches.State.DONE, unproven(odd))
        session.execute(text("select 1"))
    with store.session() as session:
        like = of(batches.get_batch(session, number))
        session.add(BatchRow(**like, id=batches.next_number(session, BatchRow), title=odd))
    with store.reading() as session:
        (kept,) = reviews.trail(session, 1)
        assert (kept.who, kept.why) == ("a\ufffdb\ufffdc",) * 2
        assert audit.trail(session, "a\x00b")[1] == 0
        assert "a\ufffdb\ufffdc" in {row.title for row in batches.list_batches(session)}
        assert batches.get_batch(session, number).source.path == "/x\ufffdy"


def of(row) -> dict:
    return {
        key: value
        for key, value in vars(row).items()
        if key in row.__table__.columns and key not in ("id", "title")
    }


@pytest.fixture
def locked(client, tmp_path, monkeypatch) -> Iterator[None]:
    """The database, held by another program that does not let go."""
    monkeypatch.setattr(database, "BUSY_MS", 200)
    open_store.cache_clear()
    fill(the_store(), LINES["casting"], 1)
    other = sqlite3.connect(tmp_path / "store" / "defectvision.sqlite3", isolation_level=None)
    other.execute("begin exclusive")
    yield
    other.execute("rollback")
    other.close()
    open_store.cache_clear()


def test_a_locked_database_is_said_to_be_locked(client, locked) -> None:
    answer = post(client, "/inspections/1/reviews", '{"decision": "accept"}')
    assert answer.status_code == 503 and "database is locked" in answer.json()["detail"]
    answer = post(client, "/batches/1/state", '{"state": "cancelled"}')
    assert answer.status_code == 503 and "database is locked" in answer.json()["detail"]
    files = [("files", ("a.png", casting("ok", 3)))]
    answer = client.post("/v1/uploads", headers=TOKEN, files=files, data={"line": "casting"})
    assert answer.status_code == 503 and "database is locked" in answer.json()["detail"]


READING = ("/batches", "/batches/1", "/batches/1/results", "/batches/1/failed", "/inspections/1",
           "/inspections/1/reviews", "/inspections/1/picture", "/metrics")  # fmt: skip


@pytest.mark.parametrize("path", READING)
def test_a_database_that_is_away_is_said_to_be_away(client, tmp_path, monkeypatch, path) -> None:
    away = create_engine("postgresql+psycopg://dv@127.0.0.1:1/dv?connect_timeout=2")
    opened = new_store(tmp_path)
    gone = Store(away, opened.files, opened.folder)
    monkeypatch.setitem(api.dependency_overrides, the_store, lambda: gone)
    answer = client.get(f"/v1{path}", headers=TOKEN)
    assert answer.status_code == 503 and "refused" in answer.json()["detail"]


def test_a_store_that_cannot_be_opened_is_said_to_be_closed(client, monkeypatch) -> None:
    monkeypatch.setenv("DEFECTVISION_STORE", "/proc/nowhere")
    settings.cache_clear()
    for path in READING:
        answer = client.get(f"/v1{path}", headers=TOKEN)
        assert answer.status_code == 503 and "/proc/nowhere" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE", "postgresql+psycopg://dv:secret@127.0.0.1:1/dv"),
        ("STORE", "/proc/nowhere"),
    ],
)
def test_health_says_which_part_is_broken_and_tells_a_stranger_nothing_more(
    client, monkeypatch, name, value
) -> None:
    monkeypatch.setenv(f"DEFECTVISION_{name}", value)
    settings.cache_clear()
    answer = client.get("/v1/health")
    assert answer.status_code == 503 and answer.headers["Retry-After"]
    about = {"status": "broken", "version": __version__, "parts": {"store": "broken"}}
    assert answer.json() == about


def test_health_needs_a_worker(client) -> None:
    answer = client.get("/v1/health")
    assert answer.status_code == 503 and answer.json()["parts"]["worker"] == "broken"
    with the_store().session() as session:
        say_here(session, "a")
    health_of.cache_clear()
    answer = client.get("/v1/health")
    assert answer.status_code == 200 and answer.json()["status"] == "ok"


def test_a_full_disk_is_said_to_be_full(client, tmp_path, monkeypatch) -> None:
    store = the_store()
    fill(store, LINES["casting"], 1)
    with store.engine.connect() as connection:
        pages = connection.execute(text("pragma page_count")).scalar()
        connection.execute(text(f"pragma max_page_count = {pages}"))
    with store.engine.connect() as connection:
        # As many pages as there are: SQLite cannot tell this from a full disk.
        assert connection.execute(text(f"pragma max_page_count = {pages}")).scalar() == pages
    long = json.dumps({"decision": "accept", "why": "x" * 2000})
    answers = [post(client, "/inspections/1/reviews", long) for _ in range(9)]
    assert {answer.status_code for answer in answers} <= {201, 503}
    assert answers[-1].status_code == 503 and "disk is full" in answers[-1].json()["detail"]


def spoiled(folder: Path, file: str, content: bytes) -> Path:
    """A bundle of which a file is nonsense, and its hash that of the nonsense."""
    place = write_bundle(folder, "casting", "resnet50")
    about = json.loads((place / ABOUT_FILE).read_text())
    name = MODEL_FILE if file == "model" else about["foreign"]["file"]
    (place / name).write_bytes(content)
    about["files"][name] = hashlib.sha256(content).hexdigest()
    (place / ABOUT_FILE).write_text(json.dumps(about))
    return folder


def other_model(folder: Path) -> bytes:
    """A sound model of another line, with other classes."""
    return (write_bundle(folder, "neu-surface", "resnet50") / MODEL_FILE).read_bytes()


@pytest.mark.parametrize("file", ["model", "foreign", "other classes"])
def test_a_bundle_that_is_whole_and_cannot_be_loaded(client, tmp_path, monkeypatch, file) -> None:
    content = other_model(tmp_path / "neu") if file == "other classes" else b"no model"
    place = spoiled(tmp_path / "weights", "foreign" if file == "foreign" else "model", content)
    load_bundle(place, "casting")
    with pytest.raises(BundleError, match="cannot be loaded"):
        load_inspector(place, "casting", None, Limits())
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(place))
    settings.cache_clear()
    files = {"file": ("a.png", casting("ok", 3))}
    answer = client.post("/v1/inspect", headers=TOKEN, files=files, data={"line": "casting"})
    assert answer.status_code == 503 and "cannot be loaded" in answer.json()["detail"]
    (tmp_path / "a.png").write_bytes(casting("ok", 3))
    asked = ["inspect", tmp_path / "a.png", "--line", "casting", "--weights", place]
    done = CliRunner().invoke(app, [*map(str, asked)])
    assert done.exit_code == 2 and "cannot be loaded" in done.stderr


def test_what_nobody_thought_of_is_an_answer_too(client, monkeypatch) -> None:
    monkeypatch.setattr(batches, "list_batches", lambda *_given: np.zeros(2)[5])
    answer = client.get("/v1/batches", headers=TOKEN)
    assert answer.status_code == 503 and "(IndexError)" in answer.json()["detail"]
