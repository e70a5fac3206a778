"""A page that cannot go on says why in words, and goes on when the reason is gone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from defectvision.bundle.schema import ABOUT_FILE, MODEL_FILE
from defectvision.store.files import digest_of
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Server]:
    """A server whose line neu-surface has a bundle that is whole, and no model."""
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    place = write_bundle(tmp_path / "weights", "neu-surface", "resnet50")
    about = json.loads((place / ABOUT_FILE).read_text())
    (place / MODEL_FILE).write_bytes(b"no model")
    about["files"][MODEL_FILE] = digest_of(b"no model")
    (place / ABOUT_FILE).write_text(json.dumps(about))
    with serving(tmp_path / "weights", tmp_path / "log.txt") as server:
        yield server


@pytest.fixture
def board(chromium, plant: Server) -> Iterator[Dashboard]:
    board = Dashboard(chromium, plant.url)
    yield board
    board.close()


@pytest.fixture
def breaking(chromium, tmp_path: Path) -> Iterator[Dashboard]:
    """A page of a server whose store breaks, which its worker tells its log in full."""
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    with (
        pytest.raises(AssertionError, match="the store did not answer"),
        serving(tmp_path / "weights", tmp_path / "log.txt") as server,
    ):
        board = Dashboard(chromium, server.url)
        yield board
        board.close()


def says(board: Dashboard, words: str) -> None:
    expect(board.page.get_by_text("This page cannot go on")).to_be_visible()
    expect(board.page.get_by_text(words).first).to_be_visible()
    expect(board.page.get_by_text("encountered an error")).to_have_count(0)
    expect(board.page.get_by_text("Traceback")).to_have_count(0)


def test_a_store_that_breaks_while_the_server_runs(breaking, tmp_path: Path) -> None:
    board = breaking
    board.visit("batches")
    with sqlite3.connect(tmp_path / "store" / "defectvision.sqlite3") as database:
        database.execute("alter table batches rename to elsewhere")
    for page in ("batches", "results", "review"):
        board.visit(page)
        says(board, "no such table: batches")
    with sqlite3.connect(tmp_path / "store" / "defectvision.sqlite3") as database:
        database.execute("alter table elsewhere rename to batches")
    board.visit("batches")
    expect(board.page.get_by_text("Nothing was inspected as a batch yet")).to_be_visible()


def test_a_bundle_that_cannot_be_loaded(board: Dashboard) -> None:
    board.open()
    board.choose("Line", "Hot-rolled steel surface")
    field = board.page.locator("input[type=file]").first
    field.set_input_files(
        [{"name": "a.png", "mimeType": "image/png", "buffer": casting("def", 105)}]
    )
    says(board, "cannot be loaded")


@pytest.mark.soak  # tests/web/batch/test_condition.py says it without a browser
def test_the_batches_page_says_what_health_says_until_it_is_mended(board, tmp_path) -> None:
    banner = board.page.get_by_text("Not all is as it should be")
    board.visit("batches")
    expect(banner).to_have_count(0)
    files = tmp_path / "store/files"
    files.rename(tmp_path / "away")
    files.symlink_to("/proc/nowhere")
    board.page.wait_for_timeout(10_500)  # as old as what is shown may be
    board.visit("batches")
    expect(banner).to_be_visible()
    expect(board.page.get_by_text("cannot be written, read and removed")).to_be_visible()
    files.unlink()
    (tmp_path / "away").rename(files)
    board.page.wait_for_timeout(10_500)
    board.visit("batches")
    expect(banner).to_have_count(0)
