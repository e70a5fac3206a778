"""From nothing to a bundle in force in the browser: labelled, learned, measured, promoted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from defectvision.bundle.reader import read_line
from defectvision.store import labelling
from defectvision.store.database import open_store
from defectvision.store.evaluations import list_evaluations
from defectvision.store.label_files import kept_masks
from tests.stand_ins.server import serving
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]

IMAGES, SIZE = 24, (96, 128)
LEARNED = 300_000  # ms, at most
# The smallest network with masks: what is tested does not depend on which one it is.
RECIPE = """
architecture: unet_leaky
preprocessing: {height: 64, width: 64, fit: stretch}
split: {train: 0.5, val: 0.25, test: 0.25}
masks: {losses: {bce_dice: 1.0}}
epochs: 4
batch_size: 4
learning_rate: 0.003
precision: fp32
tracking: none
"""


def defect_of(number: int) -> tuple[int, int] | None:
    """Left and top of the dark square of an image; None where it is good."""
    rng = np.random.default_rng([number, 7])
    return (int(rng.integers(30, 80)), int(rng.integers(20, 60))) if number % 2 else None


def image(number: int) -> bytes:
    rng = np.random.default_rng(number)
    pixels = np.clip(130 + 9 * rng.standard_normal(SIZE), 0, 255)
    if place := defect_of(number):
        left, top = place
        pixels[top : top + 16, left : left + 16] = 20
    return cv2.imencode(".png", pixels.astype(np.uint8))[1].tobytes()


@pytest.fixture
def board(chromium, tmp_path: Path) -> Iterator[Dashboard]:
    (tmp_path / "weights").mkdir()
    with serving(tmp_path / "weights", tmp_path / "log.txt") as server:
        board = Dashboard(chromium, server.url).visit("label")
        board.complaints.clear()
        yield board
        board.close()


def fill(board: Dashboard, label: str, text: str) -> None:
    field = board.page.get_by_role("textbox", name=label, exact=True)
    field.fill(text)
    field.press("Enter")
    board.settle()


def press(board: Dashboard, name: str | re.Pattern[str]) -> None:
    board.page.get_by_role("button", name=name).first.click()
    board.settle()


def section(board: Dashboard, name: str) -> None:
    board.page.get_by_test_id("stButtonGroup").first.get_by_text(name, exact=True).click()
    board.settle()


def draw_square(board: Dashboard, canvas: Locator, place: tuple[int, int]) -> None:
    """A box around the dark square, by the mouse."""
    shown = canvas.bounding_box()
    assert shown is not None
    scale = min(shown["width"] / SIZE[1], shown["height"] / SIZE[0])
    left = shown["x"] + (shown["width"] - scale * SIZE[1]) / 2
    top = shown["y"] + (shown["height"] - scale * SIZE[0]) / 2
    mouse = board.page.mouse
    mouse.move(left + scale * (place[0] + 0.5), top + scale * (place[1] + 0.5))
    mouse.down()
    mouse.move(left + scale * (place[0] + 15.5), top + scale * (place[1] + 15.5), steps=4)
    mouse.up()


def learn(board: Dashboard, name: str) -> None:
    section(board, "Train")
    fill(board, "Name of the bundle", name)
    board.page.get_by_text("Recipe", exact=True).first.click()
    text = board.page.get_by_role("textbox", name="Recipe as YAML")
    text.fill(RECIPE)
    text.press("Control+Enter")
    board.settle()
    board.page.get_by_role("button", name="Train", exact=True).last.click()
    expect(board.page.get_by_text("The bundle is ready")).to_be_visible(timeout=LEARNED)
    board.page.get_by_text("How it learned").click()
    board.settle()
    expect(board.page.locator(".st-key-learning-examples img")).to_have_count(4)
    expect(board.page.locator(".js-plotly-plot")).to_be_visible()


def put_in_force(line: Path, name: str) -> None:
    """A copy of the learned bundle that stands for the one that was in force before it."""
    shutil.copytree(line / "first", line / name)
    for file, key in (
        (line / name / "bundle.json", "name"),
        (line / "line.json", "default_bundle"),
    ):
        content = json.loads(file.read_text())
        assert content[key] == "first"
        file.write_text(json.dumps(content | {key: name}))


def test_from_nothing_to_a_bundle_in_force_and_back(board: Dashboard, tmp_path: Path) -> None:
    page = board.page
    board.page.get_by_test_id("stTextInputField").first.fill("Ada")
    board.page.keyboard.press("Enter")
    board.settle()
    fill(board, "Name", "Steel caps")
    press(board, "Make it")
    files = [
        {"name": f"cap {i:02}.png", "mimeType": "image/png", "buffer": image(i)}
        for i in range(IMAGES)
    ]
    torn = {"name": "torn.png", "mimeType": "image/png", "buffer": image(3)[:400]}
    page.locator("input[type=file]").set_input_files([*files, torn])
    expect(page.get_by_text("24 images were added")).to_be_visible()
    expect(page.get_by_text("torn.png: damaged or cut off")).to_be_visible()
    board.settle()

    section(board, "Label")
    canvas = page.locator(".stage").first
    for number in range(IMAGES):
        expect(page.get_by_text(f"cap {number:02}.png ·")).to_be_visible()
        board.settle()
        if place := defect_of(number):
            page.keyboard.press("2")
            page.keyboard.press("r")
            draw_square(board, canvas, place)
        else:
            page.keyboard.press("1")
        page.keyboard.press("Enter")
    expect(page.get_by_text("24 of 24 images are labelled")).to_be_visible()
    store = open_store(tmp_path / "store")
    with store.reading() as session:
        rows = labelling.images_of(session, 1, labelled=True)
        assert labelling.count_labels(session, 1) == {"good": 12, "defect": 12}
    for number, row in enumerate(rows):
        masks = kept_masks(store.files, row.masks)
        assert list(masks) == (["defect"] if defect_of(number) else [])
        if place := defect_of(number):
            wanted = np.zeros(SIZE, bool)
            wanted[place[1] : place[1] + 16, place[0] : place[0] + 16] = True
            assert np.array_equal(masks["defect"], wanted), row.name

    section(board, "Train")
    press(board, "Hold back a fifth of each class")
    learn(board, "first")
    line = tmp_path / "weights" / "steel-caps"
    assert [c.title for c in read_line(line).classes] == ["Good", "Defect"]
    page.get_by_role("link", name="Labelled set").click()
    board.settle()
    put_in_force(line, "earlier")
    section(board, "Train")
    press(board, re.compile("Measure on 4 held-back images"))
    for name in ("first", "earlier"):
        measured = page.get_by_role("link", name=re.compile(f"{name}: escapes"))
        expect(measured).to_be_visible(timeout=LEARNED)
    with store.reading() as session:
        titles = {row.data for row in list_evaluations(session, "steel-caps")}
    assert titles == {"Steel caps, images held back"}

    press(board, "Make default")
    fill(board, "Reason", "measured on what was held back")
    press(board, re.compile("^Switch$"))
    assert read_line(line).default_bundle == "first"
    board.visit("")
    board.upload(("part.png", image(101)))
    expect(board.verdict).to_be_visible()
    board.visit("lines")
    page.get_by_test_id("stTextInputField").first.fill("Ada")
    page.keyboard.press("Enter")
    board.settle()
    press(board, "Roll back to earlier")
    page.get_by_role("button", name="Roll back", exact=True).click()
    board.settle()
    assert read_line(line).default_bundle == "earlier"
