"""Where bundles live: the default switched and rolled back, one exported, imported and refused."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.server import ROOT, serving
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Of this test alone, which changes it."""
    folder = tmp_path / "weights"
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "casting", "small", gain=0.3)
    return folder


@pytest.fixture
def board(chromium, weights: Path, tmp_path: Path) -> Iterator[Dashboard]:
    cache = str(tmp_path / "cache")
    with serving(weights, tmp_path / "log.txt", DEFECTVISION_CACHE=cache) as server:
        board = Dashboard(chromium, server.url)
        yield board
        board.close()


def press(board: Dashboard, name: str, place: int = 0) -> None:
    board.page.get_by_role("button", name=name, exact=True).nth(place).click()
    board.settle()


def fill(board: Dashboard, label: str, text: str) -> None:
    field = board.page.get_by_role("textbox", name=label, exact=True)
    field.fill(text)
    field.press("Enter")
    board.settle()


def taken_by_the_command_line(weights: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", "lines", "--weights", str(weights), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DEFECTVISION_STORE": str(weights.parent / "store")},
    )  # fmt: skip
    return next(row["bundle"] for row in json.loads(done.stdout) if row["default"])


@pytest.mark.soak  # tests/web/lines/test_room.py and tests/store/test_bundles.py say it
def test_the_default_is_switched_and_rolled_back_with_a_reason(
    board: Dashboard, weights: Path
) -> None:
    page = board.open().page
    chosen = page.get_by_role("combobox", name="Model")
    expect(chosen).to_have_value("resnet50 (default)")
    page.get_by_role("link", name="Lines").click()
    board.settle()
    fill(board, "Your name", "anna")
    page.get_by_role("tab", name="small").click()
    press(board, "Make default")
    switch = page.get_by_role("button", name="Switch", exact=True)
    expect(switch).to_be_disabled()  # without a reason
    fill(board, "Reason", "fewer escapes at night")
    switch.click()
    expect(page.get_by_text("in place of resnet50 since")).to_contain_text(
        "by anna: fewer escapes at night"
    )
    assert taken_by_the_command_line(weights) == "small"
    page.get_by_role("link", name="Inspect").click()
    board.settle()
    expect(chosen).to_have_value("small (default)")  # who had the default has the new one
    page.get_by_role("link", name="Lines").click()
    board.settle()
    press(board, "Roll back to resnet50")
    press(board, "Roll back")
    expect(page.get_by_text("in place of small since")).to_contain_text("by anna: Back from small")
    assert taken_by_the_command_line(weights) == "resnet50"
    page.get_by_role("link", name="Audit").click()
    board.settle()
    expect(page.get_by_text("default bundle switched")).to_have_count(2)
    assert board.complaints == []


def test_a_bundle_is_exported_imported_and_refused(
    board: Dashboard, weights: Path, tmp_path: Path
) -> None:
    page = board.visit("lines").page
    fill(board, "Your name", "anna")
    with page.expect_download() as started:
        page.get_by_role("button", name="Export").first.click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    assert file.name.startswith("casting-resnet50-")

    damaged = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(damaged, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[::-1] if name.endswith(".onnx") else content)
    press(board, "Import a bundle")
    drop = page.locator("input[type=file]")
    payload = {"name": "lot.zip", "mimeType": "application/zip", "buffer": damaged.getvalue()}
    drop.set_input_files(payload)
    expect(page.get_by_test_id("stFileChip")).to_contain_text("lot.zip")
    board.settle()
    fill(board, "Name", "night-shift")
    press(board, "Check and import")
    expect(page.get_by_text("model.onnx: does not match the hash")).to_be_visible()
    assert not (weights / "casting" / "night-shift").exists()

    drop.set_input_files(payload | {"name": "whole.zip", "buffer": file.read_bytes()})
    expect(page.get_by_test_id("stFileChip")).to_contain_text("whole.zip")
    board.settle()
    fill(board, "Name", "resnet50")
    press(board, "Check and import")
    expect(page.get_by_text("and none is replaced")).to_be_visible()
    fill(board, "Name", "night-shift")
    press(board, "Check and import")
    expect(page.get_by_role("tab", name="night-shift")).to_be_visible()
    expect(page.get_by_text("is among the bundles now")).to_be_visible()
    assert taken_by_the_command_line(weights) == "resnet50"
    board.visit("lines")
    press(board, "Measure speed here")
    expect(page.get_by_text("ms an image (median of 40").first).to_be_visible()
