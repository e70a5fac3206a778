"""`defectvision batch --db` where a server works on the same store: whoever does the work, the
command waits for the end and says what became of the batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from defectvision.batch import claim, worker
from defectvision.cli.main import app
from defectvision.inference.inspector import Inspector
from defectvision.people import unproven
from defectvision.store import batches, claims
from defectvision.store.batches import State
from defectvision.store.database import Store, open_store
from tests.stand_ins.castings import casting
from tests.stand_ins.lots import server_working

IMAGES = 12


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    return open_store(tmp_path / "store")


@pytest.fixture
def server(store: Store, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.01)
    with server_working(store, weights):
        yield


def lot(folder: Path, bad: int = 0) -> Path:
    folder.mkdir()
    for i in range(IMAGES):
        data = b"no image" if i < bad else casting("def" if i % 2 else "ok", 3)
        (folder / f"{i}.png").write_bytes(data + folder.name.encode() + bytes([i]))
    return folder


def run(weights: Path, source: Path) -> tuple[Result, dict[str, int], pd.DataFrame]:
    """What the command said, its counts, and the rows of its file."""
    out = source.with_suffix(".csv")
    asked = ("batch", source, "--line", "casting", "--weights", weights, "--db", "--out", out)
    done = CliRunner().invoke(app, [*map(str, asked), "--json"])
    counts = json.loads(done.stdout) if done.stdout else {}
    return done, counts, pd.read_csv(out, keep_default_na=False)


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_every_run_counts_and_writes_all_images(weights, tmp_path) -> None:
    for i in range(6):
        done, counts, rows = run(weights, lot(tmp_path / f"lot{i}"))
        assert done.exit_code == 0, done.stderr
        assert counts == {"batch": i + 1, "images": 12, "done": 12, "failed": 0, "repeated": 0}
        assert sorted(rows["name"]) == sorted(f"{n}.png" for n in range(IMAGES))
        assert set(rows["error"]) == {""}


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("bad", [1, 5, IMAGES])
def test_images_that_a_server_could_not_inspect_are_named(weights, tmp_path, bad) -> None:
    done, counts, rows = run(weights, lot(tmp_path / "lot", bad))
    assert done.exit_code == 1
    assert (counts["done"], counts["failed"], counts["repeated"]) == (IMAGES - bad, bad, 0)
    assert done.stderr.count("failed  ") == bad == (rows["error"] != "").sum()
    assert len(rows) == IMAGES


def elsewhere(session, number: int) -> None:
    assert claims.take_claim(session, number, "plant-9:17:4711:0123456789ab:fedcba987654")


@pytest.fixture
def held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new batch is claimed by a server of another machine before the command looks."""
    add_batch = batches.add_batch

    def add_held(session, *given, **more):
        batch = add_batch(session, *given, **more)
        elsewhere(session, batch.id)
        return batch

    monkeypatch.setattr(batches, "add_batch", add_held)


@pytest.mark.slow
@pytest.mark.usefixtures("held")
def test_a_server_that_is_gone_is_replaced(weights, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(claim, "SILENT_SECONDS", 0.7)
    done, counts, rows = run(weights, lot(tmp_path / "lot"))
    assert done.exit_code == 0, done.stderr
    assert counts["done"] == len(rows) == IMAGES


@pytest.mark.slow
@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (lambda s, n: batches.move(s, n, State.PAUSED, unproven("ada")), "batch is paused"),
        (lambda s, n: batches.move(s, n, State.CANCELLED, unproven("ada")), "batch is cancelled"),
        (lambda s, n: batches.finish(s, n, State.FAILED, "the bundle was replaced"), "replaced"),
        (lambda s, n: s.delete(batches.get_batch(s, n)), "there is no batch 1"),
    ],
)
def test_what_ended_the_batch_elsewhere_is_said(
    store, weights, tmp_path, monkeypatch, ends, words
) -> None:
    monkeypatch.setattr(
        Inspector, "inspect_many", lambda *_, **__: pytest.fail("another one has the batch")
    )
    looks, last_beat = [], claims.last_beat

    def looked(session, number):
        looks.append(number)
        if len(looks) == 3:
            with store.session() as other:
                ends(other, number)
        return last_beat(session, number)

    monkeypatch.setattr(claims, "last_beat", looked)
    source = lot(tmp_path / "lot")
    asked = ("batch", source, "--line", "casting", "--weights", weights, "--db")
    done = CliRunner().invoke(app, [*map(str, asked)])
    assert done.exit_code == 2 and words in done.stderr, (done.stdout, done.stderr)
