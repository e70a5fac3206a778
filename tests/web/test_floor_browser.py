"""The shop-floor view as somebody three metres away sees it."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from tests.stand_ins.castings import CLEAR_DEFECT, casting
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser
TOKEN = "a-token-that-is-long-enough-for-anybody"
LEAST_PX = 60  # of a letter: 16 mm on a screen of 24 inches and 1920 px


@pytest.fixture
def board(chromium, lot: Server) -> Dashboard:
    opened = Dashboard(chromium, lot.url)
    yield opened
    opened.close()


def test_the_last_part_fills_the_page_with_its_verdict(board: Dashboard, lot: Server) -> None:
    with sqlite3.connect(lot.store / "defectvision.sqlite3") as database:
        rows = database.execute("select name, at from inspections").fetchall()
    times = dict(rows)  # of a lot, several are inspected at once: the last listed may be earlier
    assert len(times) == 30
    board.visit("floor")
    band = board.page.locator(".dv-floor")
    expect(band.locator("small")).not_to_be_empty()
    shown = band.locator("small").inner_text()
    assert times[shown] == max(times.values())
    verdict = "✓ Accept" if shown.startswith("ok") else re.compile("✕ Reject|Review")
    expect(band.locator("strong")).to_have_text(verdict)
    size = band.locator("strong").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size * 0.66 >= LEAST_PX
    expect(board.page.locator(".dv-floor-picture")).to_be_visible()
    expect(board.page.locator(".dv-floor-counts")).to_have_text(
        re.compile(r"^30 parts · Accept: \d+")
    )


def test_one_part_of_the_results_is_shown_with_its_verdict(board: Dashboard) -> None:
    page = board.page
    board.visit("results").open_row(0)
    name = page.locator(".dv-name").inner_text()
    verdict = board.verdict.locator("strong").first.inner_text()
    page.get_by_text("Decide on this part").click()
    board.settle()  # the buttons slide until it is open
    page.get_by_role("link", name="Shop-floor view").click()
    expect(page.locator(".dv-floor small")).to_have_text(name)
    expect(page.locator(".dv-floor strong")).to_contain_text(verdict)


@pytest.mark.slow
def test_a_camera_s_next_picture_comes_by_itself(chromium, weights: Path, tmp_path: Path) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (camera / "1.png").write_bytes(casting("ok", 1))
    roots, tokens = json.dumps([str(tmp_path)]), json.dumps({"mes": TOKEN})
    with serving(
        weights, tmp_path / "log.txt",
        DEFECTVISION_SOURCE_ROOTS=roots, DEFECTVISION_API_TOKENS=tokens,
    ) as server:  # fmt: skip
        asked = Request(
            f"{server.url}/api/v1/batches",
            json.dumps({"line": "casting", "path": str(camera), "watch": True}).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        urlopen(asked).close()
        board = Dashboard(chromium, server.url)
        board.page.goto(f"{server.url}/floor")
        band = board.page.locator(".dv-floor")
        expect(band).to_contain_text("✓ Accept", timeout=60_000)
        (camera / "2.png").write_bytes(casting(*CLEAR_DEFECT))
        expect(band).to_contain_text("✕ Reject", timeout=60_000)
        expect(band.locator("small")).to_have_text("2.png")
        (camera / "3.png").write_bytes(b"no picture")
        expect(band).to_contain_text("Not inspected", timeout=60_000)
        board.close()
