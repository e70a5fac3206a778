"""Single keys work after a choice, Escape leaves a field, no table searches a part of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import expect

from tests.stand_ins.server import Server
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def results(chromium, lot: Server) -> Iterator[Dashboard]:
    """Results of a lot of 30 images, one of them open."""
    board = Dashboard(chromium, lot.url)
    board.page.set_viewport_size({"width": 1440, "height": 1400})
    board.visit("results")
    board.open_row(0)
    expect(board.page.get_by_text("1 of 30")).to_be_visible()
    yield board
    board.close()


def a_select_box(board: Dashboard) -> None:
    board.choose("Sort by", "Defect score")


def a_select_box_by_keys(board: Dashboard) -> None:
    board.page.get_by_role("combobox", name="Sort by").focus()
    board.page.keyboard.press("ArrowDown")
    expect(board.page.get_by_role("option").first).to_be_visible()
    board.page.keyboard.press("Enter")


def a_text_and_enter(board: Dashboard) -> None:
    field = board.page.get_by_role("textbox", name="Name contains")
    field.fill("1")
    field.press("Enter")


def a_switch(board: Dashboard) -> None:
    board.page.get_by_text("Descending").click()


def a_segmented_control(board: Dashboard) -> None:
    board.page.get_by_role("radio", name="No", exact=True).click()


CHOICES = [a_select_box, a_select_box_by_keys, a_text_and_enter, a_switch, a_segmented_control]


@pytest.mark.parametrize("choose", CHOICES, ids=lambda choose: choose.__name__)
def test_keys_work_after_a_choice(results: Dashboard, choose: Callable[[Dashboard], None]) -> None:
    choose(results)
    results.page.wait_for_timeout(400)
    results.settle()
    heading = results.page.get_by_text(" of 30", exact=False).first
    before = heading.inner_text()
    # One of both neighbours is there, wherever the order put the open image.
    at_end = before.startswith("30 of")
    results.page.keyboard.press("p" if at_end else "n")
    expect(heading).not_to_have_text(before)


def test_escape_leaves_a_field_before_it_closes_the_image(results: Dashboard) -> None:
    field = results.page.get_by_role("textbox", name="Name contains")
    field.focus()
    results.page.keyboard.press("Escape")
    expect(field).not_to_be_focused()
    results.settle()
    expect(results.page.locator(".dv-name")).to_be_visible()
    results.page.keyboard.press("Escape")
    expect(results.page.locator(".dv-name")).to_have_count(0)


def test_a_page_of_a_table_offers_no_search_and_no_download_of_its_own(results: Dashboard) -> None:
    table = results.page.locator(".st-key-part-of-more")
    expect(table).to_be_visible()
    table.hover()
    expect(table.get_by_test_id("stElementToolbar")).to_be_hidden()
    results.open_row(1)
    results.page.keyboard.press("Control+f")
    expect(results.page.get_by_placeholder("Type to search")).to_have_count(0)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_link_of_the_menu_shows_that_the_keyboard_is_on_it(
    chromium, lot: Server, theme: str
) -> None:
    board = Dashboard(chromium, lot.url, theme)
    board.visit("batches")
    link = board.page.get_by_test_id("stTopNavLink").filter(has_text="Results")
    outline = "link => getComputedStyle(link).outlineStyle"
    assert link.evaluate(outline) == "none"
    board.page.keyboard.press("Tab")
    for _ in range(30):
        if link.evaluate("link => link === document.activeElement"):
            break
        board.page.keyboard.press("Tab")
    assert link.evaluate(outline) == "solid"
    board.close()
