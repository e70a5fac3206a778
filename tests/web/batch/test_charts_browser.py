"""A click on a bar of Results sets the filter, and the filter shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from tests.stand_ins.server import Server
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@pytest.fixture
def results(chromium, lot: Server) -> Iterator[Dashboard]:
    board = Dashboard(chromium, lot.url)
    board.page.set_viewport_size({"width": 1440, "height": 1400})
    yield board.visit("results")
    board.close()


def bars(board: Dashboard, chart: int) -> Locator:
    return board.page.locator(".js-plotly-plot").nth(chart).locator(".barlayer .point path")


def click(board: Dashboard, bar: Locator) -> None:
    box = bar.bounding_box()
    assert box is not None
    board.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    board.settle()


def test_a_bar_of_the_pareto_filters_by_its_class(results: Dashboard) -> None:
    expect(bars(results, 0)).to_have_count(1)
    click(results, bars(results, 0).first)
    sidebar = results.page.get_by_test_id("stSidebar")
    expect(sidebar.get_by_text("Defective", exact=True)).to_be_visible()
    shown = results.page.get_by_text(re.compile(r"^\d+ of 30 shown$"))
    expect(shown).to_be_visible()
    assert {row[3] for row in results.table(min(25, int(shown.inner_text().split()[0])))} == {
        "Defective"
    }


def test_a_bin_of_the_histogram_filters_by_its_scores(results: Dashboard) -> None:
    expect(bars(results, 1)).not_to_have_count(0)
    highest = max(
        bars(results, 1).all(), key=lambda bar: bar.evaluate("bar => bar.getBBox().height")
    )
    click(results, highest)
    low, high = (
        float(handle.input_value())
        for handle in results.page.get_by_role("slider", name=re.compile("^Defect score")).all()
    )
    assert high - low == pytest.approx(0.02)
    shown = results.page.get_by_text(re.compile(r"^\d+ of 30 shown$"))
    scores = [float(row[5]) for row in results.table(int(shown.inner_text().split()[0]))]
    assert scores and all(low - 0.001 <= score <= high + 0.001 for score in scores)
