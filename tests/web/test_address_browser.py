"""What a page that is loaded again, or opened in a new tab, still knows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser

STEEL = "Hot-rolled steel surface"


@pytest.fixture
def board(chromium, server) -> Iterator[Dashboard]:
    board = Dashboard(chromium, server.url)
    yield board
    board.close()


def shows(page: Page, line: str) -> None:
    expect(page.get_by_role("combobox", name="Line")).to_have_value(line)


def test_the_line_outlives_a_reload_a_new_tab_the_menu_and_the_way_back(board: Dashboard) -> None:
    page = board.open().page
    board.choose("Line", STEEL)
    page.reload()
    board.settle()
    shows(page, STEEL)
    page.get_by_role("link", name="Batches").click()
    board.settle()
    shows(page, STEEL)
    expect(page).to_have_url(f"{board.url}/batches?line=neu-surface")
    board.choose("Line", "Casting")
    page.go_back()
    board.settle()
    shows(page, STEEL)
    other = board.context.new_page()
    other.goto(page.url)
    shows(other, STEEL)
    other.goto(f"{board.url}/inspect?line=neu-surface")
    shows(other, STEEL)
    expect(other).to_have_url(f"{board.url}/?line=neu-surface")
    expect(other.get_by_text("Page not found")).to_have_count(0)


def test_a_name_outlives_a_reload_in_the_same_browser_and_stands_in_no_address(
    board: Dashboard,
) -> None:
    page = board.visit("batches").page
    name = page.get_by_role("textbox", name="Your name")
    name.fill("Ada Löf; x=1")
    name.press("Enter")
    board.settle()
    page.reload()
    board.settle()
    expect(name).to_have_value("Ada Löf; x=1")
    assert "Ada" not in page.url
    name.fill("")
    name.press("Enter")
    board.settle()
    page.reload()
    board.settle()
    expect(name).to_have_value("")
