"""`defectvision doctor` finds what is wrong with an installation that is broken for real."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from defectvision.batch.health import health_of
from defectvision.batch.sources import folder_source
from defectvision.bundle.schema import MODEL_FILE
from defectvision.cli import installation
from defectvision.cli.main import app
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.age import about
from defectvision.store.database import open_store
from defectvision.store.ownership import join_files
from defectvision.store.tables import now
from defectvision.store.workers import say_here
from tests.stand_ins.lots import lot, start

PARTS = ["python", "packages", "settings", "bundles", "source roots", "store folder", "port",
         "tables", "database", "files", "disk", "worker", "batches", "ownership", "clock",
         "sources"]  # fmt: skip


class Plant:
    """An installation with a worker at its store."""

    def __init__(self, folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.weights, self.roots, self.store_folder = (
            folder / name for name in ("weights", "lots", "store")
        )
        shutil.copytree(weights, self.weights)
        self.roots.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.set("WEIGHTS", self.weights)
        self.set("STORE", self.store_folder)
        self.set("SOURCE_ROOTS", json.dumps([str(self.roots)]))
        self.set("PORT", self.port)
        self.store = open_store(self.store_folder)
        join_files(self.store)
        with self.store.session() as session:
            say_here(session, "a")
            about(session).seen = now()

    def set(self, name: str, value: object) -> None:
        self.monkeypatch.setenv(f"DEFECTVISION_{name}", str(value))

    def examine(self) -> tuple[int, dict[str, dict]]:
        settings.cache_clear()
        open_store.cache_clear()
        health_of.cache_clear()
        done = CliRunner().invoke(app, ["doctor", "--json"])
        return done.exit_code, {one["part"]: one for one in json.loads(done.stdout)}


@pytest.fixture
def plant(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    return Plant(tmp_path, weights, monkeypatch)


def test_a_sound_installation_is_said_to_be_sound(plant) -> None:
    before = set(plant.folder.rglob("*"))
    code, found = plant.examine()
    wrong = [one for one in found.values() if one["state"] != "ok"]
    assert (code, wrong, list(found)) == (0, [], PARTS)
    assert set(plant.folder.rglob("*")) - before <= set(
        plant.store_folder.glob("defectvision.sqlite3-*")
    )
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0 and done.stdout.count("\n") == len(PARTS)


def another_pin(plant: Plant) -> None:
    (plant.folder / "requirements-serve.txt").write_text("typer==0.0.1\nno-such-package==1\n")
    plant.monkeypatch.setattr(installation, "ROOT", plant.folder)


def slip_of_the_pen(plant: Plant) -> None:
    plant.set("SOURCE_ROOT", "[]")


def no_json(plant: Plant) -> None:
    plant.set("SOURCE_ROOTS", "/lots")


def open_to_the_network(plant: Plant) -> None:
    plant.set("ADDRESS", "0.0.0.0")


def store_to_be_read(plant: Plant) -> None:
    plant.set("SOURCE_ROOTS", json.dumps([str(plant.folder)]))


def changed_weights(plant: Plant) -> None:
    model = next(plant.weights.rglob(MODEL_FILE))
    model.write_bytes(model.read_bytes() + b"\0")


def unsigned(plant: Plant) -> None:
    key = base64.b64encode(bytes([7]) * 32).decode()
    plant.set("TRUSTED_KEYS", json.dumps({"plant": key}))


def no_weights(plant: Plant) -> None:
    shutil.rmtree(plant.weights)


def no_root(plant: Plant) -> None:
    plant.roots.rmdir()


def open_to_all(plant: Plant) -> None:
    plant.set("STORE", plant.store_folder.rename(plant.folder / "open"))
    (plant.folder / "open").chmod(0o755)


def store_on_a_file(plant: Plant) -> None:
    plant.set("STORE", "/proc/nowhere")


def taken_port(plant: Plant) -> None:
    taken = socket.socket()
    taken.bind(("127.0.0.1", plant.port))
    taken.listen()
    plant.monkeypatch.setattr(plant, "taken", taken, raising=False)


def newer_tables(plant: Plant) -> None:
    with sqlite3.connect(plant.store_folder / "defectvision.sqlite3") as database:
        database.execute("update alembic_version set version_num = '9999'")


def older_tables(plant: Plant) -> None:
    with sqlite3.connect(plant.store_folder / "defectvision.sqlite3") as database:
        database.execute("update alembic_version set version_num = '0008'")


def damaged_database(plant: Plant) -> None:
    for path in plant.store_folder.glob("defectvision.sqlite3*"):
        path.write_bytes(b"no database" * 1000)


def database_away(plant: Plant) -> None:
    plant.set("DATABASE", "postgresql://dv@127.0.0.1:1/dv")


def no_files(plant: Plant) -> None:
    shutil.rmtree(plant.store_folder / "files")
    (plant.store_folder / "files").symlink_to("/proc/nowhere")


def other_files(plant: Plant) -> None:
    other = open_store(plant.folder / "other")
    join_files(other)
    plant.set("FILES", other.files.url)


def no_worker(plant: Plant) -> None:
    with plant.store.session() as session:
        session.connection().exec_driver_sql("delete from workers")


def clock_set_back(plant: Plant) -> None:
    with plant.store.session() as session:
        about(session).seen = now() + timedelta(hours=1)


def mount_gone(plant: Plant) -> None:
    folder = lot(plant.roots / "camera")
    start(plant.store, plant.weights, folder_source(folder, None, watch=True))
    for file in folder.iterdir():
        file.unlink()


def share_gone(plant: Plant) -> None:
    folder = lot(plant.roots / "camera")
    start(plant.store, plant.weights, folder_source(folder, None, watch=True))
    shutil.rmtree(folder)


def stalled_batch(plant: Plant) -> None:
    number = start(plant.store, plant.weights, folder_source(lot(plant.roots / "l"), None))
    with plant.store.session() as session:
        batches.get_batch(session, number).worked = now() - timedelta(hours=2)


@pytest.mark.parametrize(
    ("fault", "part", "state", "words"),
    [
        (another_pin, "packages", "broken", "no-such-package 1 is missing"),
        (slip_of_the_pen, "settings", "attention", "DEFECTVISION_SOURCE_ROOT is no setting"),
        (no_json, "settings", "broken", "DEFECTVISION_SOURCE_ROOTS: is not written as JSON"),
        (open_to_the_network, "settings", "broken", "nobody signs in"),
        (store_to_be_read, "settings", "attention", "the store lies below the source root"),
        (changed_weights, "bundles", "broken", MODEL_FILE),
        (unsigned, "bundles", "broken", "signature.json: is missing"),
        (no_weights, "bundles", "broken", "holds no line"),
        (no_root, "source roots", "broken", "lots: cannot be read"),
        (open_to_all, "store folder", "attention", "others may look into it (mode 755)"),
        (store_on_a_file, "store folder", "broken", "cannot be written"),
        (taken_port, "port", "broken", "cannot be listened on"),
        (newer_tables, "tables", "broken", "of version 9999"),
        (older_tables, "tables", "attention", "version 0008; the next start makes them"),
        (damaged_database, "database", "broken", "not a database"),
        (database_away, "database", "broken", "refused"),
        (no_files, "store", "broken", "cannot be made"),
        (other_files, "ownership", "attention", "they belong to another database"),
        (no_worker, "worker", "broken", "no worker is at the batches"),
        (clock_set_back, "clock", "attention", "set back by 60 min"),
        (mount_gone, "sources", "attention", "camera is empty"),
        (share_gone, "sources", "attention", "No such file"),
        (stalled_batch, "batches", "attention", "had no result for 2.0 h"),
    ],
)
def test_each_fault_is_found_named_and_has_a_remedy(
    plant, fault: Callable[[Plant], None], part, state, words
) -> None:
    fault(plant)
    code, found = plant.examine()
    assert code == 1 and found[part]["state"] == state
    assert words in found[part]["words"] and found[part]["remedy"]
    taken = getattr(plant, "taken", None)
    if taken is not None:
        taken.close()


def test_an_installation_of_before_the_first_start_is_sound(plant) -> None:
    plant.set("STORE", plant.folder / "new")
    code, found = plant.examine()
    assert code == 0 and "no store yet" in found["tables"]["words"]
    assert not (plant.folder / "new").exists(), "to look leaves nothing"


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may write everywhere")
def test_a_store_that_this_user_cannot_write_is_found(plant) -> None:
    plant.store_folder.chmod(0o500)
    code, found = plant.examine()
    plant.store_folder.chmod(0o700)
    assert code == 1 and found["store folder"]["state"] == "broken"


def test_a_clock_that_differs_from_the_databases_is_found(plant, postgres, monkeypatch) -> None:
    plant.set("DATABASE", postgres())
    open_store(plant.store_folder, os.environ["DEFECTVISION_DATABASE"])
    monkeypatch.setattr("defectvision.cli.examination.now", lambda: now() - timedelta(hours=1))
    code, found = plant.examine()
    assert code == 1 and "differ by 60 min" in found["clock"]["words"]
    assert "files lie on this machine alone" in found["settings"]["words"]
