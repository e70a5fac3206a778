"""A set that is opened while somebody looks: sections as they come, progress that can be believed,
and work that goes on whatever becomes of the page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from defectvision.data.synthetic.samples import draw
from tests.stand_ins.processes import all_ended, below, measuring
from tests.stand_ins.server import ROOT, Server, serving
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]

IMAGES = 240
BROKEN = 1
COUNT = re.compile(r"([\w ]+): ([\d,]+) of ([\d,]+)")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred drawings, and a file among them that is none."""
    root = tmp_path_factory.mktemp("hundreds")
    for i in range(IMAGES - BROKEN):
        label = "def" if i % 4 == 0 else "ok"
        (root / label).mkdir(exist_ok=True)
        image = draw("casting", label, np.random.default_rng(i), 240)
        cv2.imwrite(str(root / label / f"{i:03d}.png"), image)
    (root / "ok" / "broken.png").write_bytes(b"no picture")
    return root


@pytest.fixture
def server(drawn: Path, weights: Path, tmp_path: Path) -> Iterator[Server]:
    """A server that has not seen the set yet."""
    with serving(
        weights,
        tmp_path / "log.txt",
        DEFECTVISION_CACHE=str(tmp_path / "cache"),
        DEFECTVISION_DATA_SETS=json.dumps({"Drawn": str(drawn)}),
        DEFECTVISION_SOURCE_ROOTS=json.dumps([str(drawn.parent)]),
    ) as started:
        yield started


@pytest.fixture
def page(chromium, server: Server) -> Iterator[Dashboard]:
    dashboard = Dashboard(chromium, server.url).visit("dataset")
    dashboard.complaints.clear()  # Streamlit's own, of a page that is visited by its address
    yield dashboard
    dashboard.close()


class Set:
    """The Dataset page with the drawings on it."""

    def __init__(self, dashboard: Dashboard) -> None:
        self.dashboard, self.page = dashboard, dashboard.page
        self.progress = self.page.locator(".st-key-set-progress")

    def open(self) -> Set:
        self.page.get_by_test_id("stBaseButton-primary").click()
        expect(self.progress).to_be_visible()
        return self

    def said(self) -> tuple[str, int, int] | None:
        """Step, done and total, as the page says them; None where it says none."""
        found = COUNT.search(" ".join(self.progress.all_inner_texts()))
        if found is None:
            return None
        step, *numbers = found.groups()
        return step, *(int(number.replace(",", "")) for number in numbers)  # type: ignore[return-value]

    def reading(self) -> None:
        """Wait until pictures are read, and far from all."""
        self.page.wait_for_function(
            "() => /Reading the pictures: (1[6-9]|[2-9]\\d|1\\d\\d) of/.test("
            "document.querySelector('.st-key-set-progress')?.innerText ?? '')",
            timeout=120_000,
        )

    def part(self, name: str):
        return self.page.get_by_role("radio", name=re.compile(f"^{name}"))

    def finished(self) -> None:
        expect(self.progress).to_have_count(0, timeout=240_000)
        expect(self.page.get_by_text("hourglass_top")).to_have_count(0)


def test_balance_is_there_at_once_and_the_rest_finishes_while_another_page_is_read(
    page: Dashboard,
) -> None:
    opened = Set(page).open()
    chart = page.page.locator(".js-plotly-plot", has_text="Images per class")
    expect(chart).to_be_visible()
    images = page.page.locator(".st-key-set-images img")
    expect(images).to_have_count(12)
    opened.reading()
    expect(page.page.get_by_text("Near-copies hourglass_top")).to_be_visible()
    opened.part("Near-copies").click()
    expect(page.page.get_by_text("Near-copies: shown at the end")).to_be_visible()
    page.page.get_by_role("link", name="Lines").click()
    expect(page.page.get_by_text("hourglass_top")).to_have_count(0)
    expect(page.page).to_have_url(re.compile(r"/lines\?line="))
    page.page.get_by_role("link", name="Dataset").click()
    expect(opened.progress).to_be_visible()  # and nobody pressed Open again
    at = opened.said()
    assert at is not None and at[2] == IMAGES
    opened.finished()
    expect(page.page.get_by_text("Sizes of the near-copy groups").or_(
        page.page.get_by_text("No near-copies were found").first)).to_be_visible()  # fmt: skip
    expect(page.page.get_by_text("1 file could not be used")).to_be_visible()
    for part, heading in (
        ("Pictures", "Brightness per class"),
        ("Map", "What looks alike lies together"),
        ("Shortcuts", "What gives the label away"),
    ):
        opened.part(part).click()
        expect(page.page.get_by_text(heading).first).to_be_visible()
    assert page.complaints == []


@pytest.mark.soak  # tests/audit/test_forecast.py says it of each word that is told
def test_the_total_is_right_from_the_first_and_never_grows(page: Dashboard) -> None:
    opened = Set(page).open()
    told: list[tuple[str, int, int]] = []
    widths: list[float] = []
    while opened.progress.count():
        at = opened.said()
        if at is not None:
            told.append(at)
        bar = opened.page.evaluate(
            "document.querySelector('.st-key-set-progress [role=progressbar]')?.ariaValueNow"
        )
        widths += [] if bar is None else [float(bar)]
        opened.page.wait_for_timeout(100)
    assert {total for _, _, total in told} == {IMAGES}
    steps = list(dict.fromkeys(step for step, _, _ in told))
    assert "Reading the pictures" in steps and len(steps) > 1
    for step in steps:
        done = [n for name, n, _ in told if name == step]
        assert done == sorted(done) and done[-1] <= IMAGES
    assert widths == sorted(widths) and widths[-1] > widths[0]


def test_a_section_that_comes_leaves_what_its_reader_does_alone(page: Dashboard) -> None:
    """Words that are half typed, a picture that is open large, the place that was scrolled to."""
    opened = Set(page).open()
    chart = page.page.locator(".js-plotly-plot", has_text="Images per class")
    expect(chart).to_be_visible()
    page.choose("Labelled set", "Another folder or file")
    path = page.page.get_by_role("textbox", name="Folder, index.csv or COCO file")
    path.press_sequentially("/data/half")
    page.settle()
    main = page.page.get_by_test_id("stMain")
    main.evaluate("main => main.scrollTo(0, 300)")
    opened.reading()
    there = chart.bounding_box()
    assert there is not None and main.evaluate("main => main.scrollTop") == 300
    assert opened.page.get_by_text("Defects hourglass_top").count() == 1
    expect(opened.page.get_by_text("Defects hourglass_top")).to_have_count(0, timeout=120_000)
    expect(opened.progress).to_be_visible()
    expect(path).to_be_focused()
    expect(path).to_have_value("/data/half")
    assert chart.bounding_box() == there  # though a message came above it
    path.press_sequentially(" a word")
    expect(path).to_have_value("/data/half a word")
    page.page.locator("[class*=st-key-open-] button").first.click()
    dialog = page.page.get_by_role("dialog")
    expect(dialog.locator("img")).to_be_visible()
    closed = page.page.evaluate_handle(
        """() => {
            const seen = {closed: false};
            new MutationObserver(() => {
                if (!document.querySelector('[role=dialog]')) seen.closed = true;
            }).observe(document.body, {childList: true, subtree: true});
            return seen;
        }"""
    )
    expect(opened.progress).to_contain_text("Finished", timeout=240_000)
    assert closed.evaluate("seen => seen.closed") is False
    expect(dialog.locator("img")).to_be_visible()
    page.page.keyboard.press("Escape")
    opened.finished()
    expect(dialog).to_have_count(0)
    assert chart.bounding_box() == there
    expect(path).to_have_value("/data/half a word")


@pytest.mark.soak  # tests/audit/test_background.py and tests/web/dataset/test_opening.py say it
def test_a_second_window_joins_and_a_reloaded_one_goes_on(
    chromium, page: Dashboard, server: Server
) -> None:
    opened = Set(page).open()
    opened.reading()
    second = Dashboard(chromium, server.url).visit("dataset")
    other = Set(second).open()
    other.reading()
    assert len(measuring(server.pid)) == 1
    page.page.reload()
    expect(opened.progress).to_be_visible()
    at = opened.said()
    assert at is None or at[1] >= 16
    assert len(measuring(server.pid)) == 1
    page.page.close()
    other.finished()
    second.close()
    assert measuring(server.pid) == []


@pytest.mark.soak
def test_cancel_keeps_what_was_measured_and_go_on_goes_on(page: Dashboard, server: Server) -> None:
    opened = Set(page).open()
    opened.reading()
    page.page.get_by_role("button", name="Cancel").click()
    expect(page.page.get_by_text("Cancelled. What was ready by then is shown")).to_be_visible()
    assert all_ended(measuring(server.pid))
    expect(page.page.locator(".js-plotly-plot", has_text="Images per class")).to_be_visible()
    opened.part("Pictures").click()
    expect(page.page.get_by_text("Pictures: not measured")).to_be_visible()
    page.page.get_by_role("button", name="Go on").click()
    expect(opened.progress).to_be_visible()
    while (at := opened.said()) is None or at[0] == "Checking the files":
        page.page.wait_for_timeout(50)
    assert at[1] >= 16 or at[0] != "Reading the pictures"
    opened.finished()
    expect(page.page.get_by_text("Brightness per class").first).to_be_visible()


@pytest.mark.soak
def test_a_crash_is_said_with_the_remedy_and_another_try_finishes(
    page: Dashboard, server: Server
) -> None:
    opened = Set(page).open()
    opened.reading()
    (process,) = measuring(server.pid)
    os.kill(process, signal.SIGKILL)
    said = page.page.get_by_test_id("stAlert").filter(has_text="Not all of the set was measured")
    expect(said).to_contain_text("memory runs out")
    expect(said).to_contain_text("open the set again to go on")
    page.page.get_by_role("button", name="Try again").click()
    expect(said).to_have_count(0)
    opened.finished()


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_it_when_the_server_ends(
    page: Dashboard, server: Server, number: signal.Signals
) -> None:
    opened = Set(page).open()
    opened.reading()
    (process,) = measuring(server.pid)
    processes = [process, *below(process)]
    assert len(processes) > 1
    os.kill(server.pid, number)
    assert all_ended([server.pid, *processes])


@pytest.mark.soak
def test_the_command_line_waits_for_the_page_and_takes_what_it_found(
    page: Dashboard, server: Server, drawn: Path, tmp_path: Path
) -> None:
    opened = Set(page).open()
    opened.reading()
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", "data", "report", str(drawn), "--json",
         "--cache", str(tmp_path / "cache")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr  # one file is no picture
    found = json.loads(done.stdout)
    assert found["from_cache"] is True and found["images"] == IMAGES
    opened.finished()
