"""What somebody sees who opens the dashboard for the first time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.stand_ins.castings import CLEAR_DEFECT, casting
from tests.stand_ins.server import Server
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@pytest.fixture
def first(chromium, server: Server) -> Iterator[Dashboard]:
    board = Dashboard(chromium, server.url).open()
    yield board
    board.close()


def test_images_are_dropped_in_the_middle_of_the_page(first: Dashboard) -> None:
    expect(first.page.get_by_role("heading", name="DefectVision")).to_be_visible()
    place = first.page.locator(".st-key-drop")
    box = place.bounding_box()
    assert box is not None and box["width"] > 700 and box["height"] > 180
    file = {"name": "part.png", "mimeType": "image/png", "buffer": casting(*CLEAR_DEFECT)}
    place.locator("input[type=file]").set_input_files([file])
    first.shows("Reject")


def test_a_click_on_the_picture_of_a_sample_inspects_it(first: Dashboard) -> None:
    pictures = first.page.locator("[class*=st-key-sample-] img")
    expect(pictures).to_have_count(3)
    box = pictures.first.bounding_box()
    assert box is not None
    first.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(first.page.get_by_text("1 of 1 · Synthetic sample")).to_be_visible()


def test_the_words_are_explained(first: Dashboard) -> None:
    first.page.get_by_role("button", name="Help and words").click()
    for word in ("Escape", "Overkill", "Policy", "Review", "Unlike the training images"):
        expect(first.page.get_by_role("listitem").filter(has_text=f"{word}:")).to_be_visible()
