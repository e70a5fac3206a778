"""Every page for every eye and on every screen: contrast and labels, narrow screens, on paper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.stand_ins.castings import CLEAR_DEFECT, casting
from tests.stand_ins.server import Server
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser

GRAVE = ("serious", "critical")
LIGHT = "rgb(255, 255, 255)"


def inspect(board: Dashboard) -> None:
    board.open().upload(("defect.png", casting(*CLEAR_DEFECT)))
    board.shows("Reject")


def batches(board: Dashboard) -> None:
    board.visit("batches")
    expect(board.page.locator(".st-key-batch-progress")).to_be_visible()


def results(board: Dashboard) -> None:
    board.visit("results").open_row(0)
    expect(board.verdict).to_be_visible()


def review(board: Dashboard) -> None:
    board.visit("review")
    name = board.page.get_by_role("textbox", name="Your name")
    if name.count() and name.is_visible():
        name.fill("Ada")
        name.press("Enter")
        board.settle()


def dataset(board: Dashboard) -> None:
    board.visit("dataset")
    board.page.get_by_test_id("stBaseButton-primary").click()
    expect(board.page.get_by_text("Majority accuracy")).to_be_visible(timeout=180_000)
    board.settle()


def lines(board: Dashboard) -> None:
    board.visit("lines")
    expect(board.page.get_by_text("Provenance").first).to_be_visible()
    board.settle()


def floor(board: Dashboard) -> None:
    board.visit("floor")
    expect(board.page.locator(".dv-floor")).to_be_visible()
    board.settle()


def audit(board: Dashboard) -> None:
    board.visit("audit")
    expect(board.page.get_by_text("Nothing here is ever changed")).to_be_visible()
    board.settle()


PAGES = [inspect, batches, results, review, floor, dataset, lines, audit]


def findings(board: Dashboard) -> list[str]:
    """What axe finds that is serious or critical: rule, place and the reason."""
    violations = Axe().run(board.page).response["violations"]
    return [
        f"{found['id']} at {node['target']}: {node['failureSummary']}"
        for found in violations
        if found["impact"] in GRAVE
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("show", PAGES, ids=lambda show: show.__name__)
def test_axe_finds_nothing_grave(chromium, lot: Server, show: Callable[[Dashboard], None]) -> None:
    board = Dashboard(chromium, lot.url)
    ground = board.page.get_by_test_id("stApp")
    try:
        show(board)
        expect(ground).to_have_css("background-color", LIGHT)
        assert findings(board) == []
        board.page.emulate_media(color_scheme="dark")
        expect(ground).not_to_have_css("background-color", LIGHT)
        board.settle()
        assert findings(board) == []
    finally:
        board.close()


@pytest.mark.parametrize("width", [820, 390])
def test_verdict_and_buttons_come_before_the_picture_on_a_narrow_screen(
    chromium, lot: Server, width: int
) -> None:
    board = Dashboard(chromium, lot.url)
    try:
        results(board)
        board.page.set_viewport_size({"width": width, "height": 1000})
        board.settle()
        main = board.page.get_by_test_id("stMain")
        tops = [
            (place.bounding_box() or {})["y"]
            for place in (
                board.page.get_by_role("button", name="Next Shortcut"), board.verdict, board.stage,
                board.page.locator(".dv-facts").first,
            )
        ]  # fmt: skip
        assert tops == sorted(tops)
        assert main.evaluate("main => main.scrollWidth <= main.clientWidth")
        right = "e => e.getBoundingClientRect().right <= innerWidth"
        assert board.stage.evaluate(right) and board.verdict.evaluate(right)
    finally:
        board.close()


def test_paper_shows_no_controls(chromium, lot: Server) -> None:
    board = Dashboard(chromium, lot.url)
    try:
        results(board)
        board.page.emulate_media(media="print")
        for gone in ("stSidebar", "stHeader"):
            expect(board.page.get_by_test_id(gone)).to_be_hidden()
        expect(board.page.locator("[data-testid=stMain] button:visible")).to_have_count(0)
        expect(board.verdict).to_be_visible()
        expect(board.stage).to_be_visible()
    finally:
        board.close()
