"""The labelling canvas in a real Chromium: what is drawn arrives to the pixel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stand_ins.server import ROOT, free_port

pytestmark = pytest.mark.browser
SCRIPT = ROOT / "tests/stand_ins/labelling.py"


class Canvas:
    """The page of `tests/stand_ins/labelling.py` in a tab, and what it told."""

    def __init__(self, page: Page, out: Path):
        self.page, self.out = page, out
        self.stage = page.locator(".stage")
        self.read = 0  # the place of the message that was as expected last

    def told(self, as_expected: Callable[[dict], bool]) -> dict:
        """The next message that is as expected. It need not stay the last one: where an image comes
        before all of the one before is confirmed, that is told once more."""
        deadline = time.monotonic() + 20
        lines: list[str] = []
        while time.monotonic() < deadline:
            lines = self.out.read_text().splitlines() if self.out.exists() else []
            for place, message in enumerate(map(json.loads, lines)):
                if place >= self.read and as_expected(message):
                    self.read = place
                    return message
            self.page.wait_for_timeout(50)
        raise AssertionError(f"the last messages are {lines[self.read :]}")

    def areas(self, **areas: int) -> dict:
        return self.told(lambda message: message["areas"] == areas)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the middle of px (x, y) of the image is in the tab."""
        box = self.stage.bounding_box()
        assert box is not None
        scale, left, top = self.stage.evaluate(
            "s => [s.dataset.scale, s.dataset.left, s.dataset.top].map(Number)"
        )
        # 1: the stage's border
        return box["x"] + 1 + left + (x + 0.5) * scale, box["y"] + 1 + top + (y + 0.5) * scale

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))

    def drag(self, *places: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.place(*places[0]))
        mouse.down()
        for place in places[1:]:
            mouse.move(*self.place(*place), steps=4)
        mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture
def canvas(chromium, tmp_path: Path) -> Iterator[Canvas]:
    port, log, out = free_port(), tmp_path / "log.txt", tmp_path / "told.jsonl"
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", str(SCRIPT), f"--server.port={port}",
             "--", str(out)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=written, stderr=written,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{url}/_stcore/health"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        opened = Canvas(page, out)
        expect(opened.stage).to_be_focused()
        yield opened
        page.close()
        assert complaints == []
    finally:
        server.terminate()
        server.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_an_image_is_labelled_and_drawn_by_hand_and_keys(canvas: Canvas) -> None:
    page = canvas.page
    said = page.locator(".said")
    canvas.press("r")
    canvas.drag((20, 30), (59, 49))  # nothing is chosen
    expect(said).to_contain_text("Choose a class first")
    canvas.press("2")
    canvas.told(lambda message: message["names"] == ["pit"])

    canvas.drag((20, 30), (59, 49))
    box = canvas.areas(pit=40 * 20)
    assert box["boxes"]["pit"] == [30, 49, 20, 59] and box["strokes"] == 1
    expect(page.locator(".keeping")).to_have_text("Everything is kept.")

    # A brush of 6 px, straight across the box: its round ends lie within it.
    canvas.press("b")
    expect(said).to_have_text("Brush.")
    expect(page.locator("[aria-pressed=true][data-tool]")).to_have_text("Brush B")
    expect(page.locator(".size-value")).to_have_text("7 px")
    canvas.press("[", "[")
    expect(page.locator(".size-value")).to_have_text("4 px")
    canvas.drag((30, 40), (80, 40))
    stroke = canvas.told(lambda message: message["strokes"] == 2)["areas"]["pit"]
    assert 20 * 4 <= stroke - 800 <= 24 * 4
    canvas.press("Control+z")
    canvas.areas(pit=800)
    canvas.press("Control+Shift+Z")
    canvas.areas(pit=stroke)
    canvas.press("Control+z", "e")
    canvas.drag((10, 40), (70, 40))
    canvas.areas(pit=800 - 40 * 4)
    canvas.press("Control+z")

    # The square's area, in another class; Shift takes a box away from it.
    canvas.press("3", "f")
    canvas.click(210, 70)
    filled = canvas.areas(pit=800, dent=40 * 30)
    assert filled["names"] == ["pit", "dent"]
    assert filled["boxes"]["dent"] == [60, 99, 200, 229]
    canvas.press("r")
    page.keyboard.down("Shift")
    canvas.drag((225, 90), (240, 120))
    page.keyboard.up("Shift")
    canvas.areas(pit=800, dent=1200 - 5 * 10)

    # A triangle: corners at px' middles, so half of a square of 40 px.
    canvas.press("g")
    for corner in ((100, 120), (140, 120), (100, 160)):
        canvas.click(*corner)
    canvas.press("Enter")
    polygon = canvas.told(lambda message: message["strokes"] >= 6)["areas"]["dent"]
    assert polygon - 1150 == pytest.approx(800, abs=41)
    canvas.press("t")  # the model's mask in place of what was drawn
    canvas.areas(pit=800, dent=200)
    canvas.press("Control+z")
    canvas.areas(pit=800, dent=polygon)

    # What has just been drawn goes along with the step to the next image, and is there again.
    canvas.press("r")
    canvas.drag((0, 0), (9, 9))
    canvas.press("n", "1")  # too fast: it is not meant for the image that goes
    last = canvas.told(lambda message: message["step"] == "next")
    assert last["areas"] == {"pit": 800, "dent": polygon + 100}
    expect(page.get_by_text("Image 1", exact=True)).to_be_visible()
    expect(page.locator("[data-do=undo]")).to_be_disabled()
    canvas.press("f")
    canvas.press("2")
    canvas.click(210, 70)
    assert canvas.areas(pit=40 * 40)["digest"] == "image 1"
    canvas.press("1")  # good: no label beside it, and no mask
    good = canvas.told(lambda message: message["names"] == ["good"])
    assert good["areas"] == {}
    canvas.press("ArrowLeft")
    expect(page.get_by_text("Image 0", exact=True)).to_be_visible()
    expect(page.locator(".class output").nth(1)).to_have_text("800 px")
    canvas.press("Enter")
    kept = canvas.told(lambda message: message["step"] == "save")
    assert kept["digest"] == "image 0" and kept["areas"] == last["areas"]
