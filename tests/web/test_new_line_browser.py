"""From photographs of good parts to a line that inspects, in the browser."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from defectvision.data.synthetic.samples import draw
from tests.stand_ins.good_parts import in_the_way
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TITLE, NAME = "Pump housings, left", "pump-housings-left"
BUNDLE = "memory_efficientnet_lite0"
PARTS = 22
SIDE = 128  # px of a drawn part
LEARNED = 600_000  # ms, at most
Opened = Callable[..., Dashboard]


@pytest.fixture
def program() -> dict[str, str]:
    """The environment of a server: what learns the line. Empty for the program itself."""
    return {}


@pytest.fixture
def opened(chromium, program: dict[str, str], tmp_path: Path) -> Iterator[Opened]:
    """Opens a page of a server in an empty plant; `anew` where that was killed, and started
    again."""
    with ExitStack() as stack:
        servers: list[Server] = []
        (tmp_path / "weights").mkdir()
        (tmp_path / "source").mkdir()

        def open_page(page: str = "lines?new=line", anew: bool = False) -> Dashboard:
            if anew:
                os.kill(servers[-1].pid, signal.SIGKILL)
            if anew or not servers:
                servers.append(stack.enter_context(
                    serving(
                        tmp_path / "weights",
                        tmp_path / f"log{len(servers)}.txt",
                        DEFECTVISION_SOURCE_ROOTS=json.dumps([str(tmp_path / "source")]),
                        **program,
                    )
                ))  # fmt: skip
            board = Dashboard(chromium, servers[-1].url).visit(page)
            stack.callback(board.close)
            board.complaints.clear()  # Streamlit's own, of a page that is visited by its address
            return board

        yield open_page


def part(seed: int) -> bytes:
    """A good part, drawn, as PNG."""
    image = draw("casting", "ok", np.random.default_rng([seed, 1]), SIDE)
    return cv2.imencode(".png", image)[1].tobytes()


def give(board: Dashboard, parts: int = PARTS, **more: bytes) -> None:
    """Drop photographs of good parts into the form."""
    files = [(f"IMG_{i}.png", part(i)) for i in range(parts)]
    files += [(f"{name}.png", data) for name, data in more.items()]
    payload = [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in files]
    board.page.locator("input[type=file]").set_input_files(payload)
    expect(board.page.get_by_test_id("stMetricValue")).to_have_text(str(parts))
    board.settle()


def start(board: Dashboard, title: str = TITLE) -> None:
    field = board.page.get_by_role("textbox", name="Title of the line")
    field.fill(title)
    field.press("Enter")
    board.settle()
    board.page.get_by_role("button", name="Start learning").click()


def progress(board: Dashboard):
    return board.page.locator(".st-key-new-line-progress")


def test_from_nothing_to_a_line_that_inspects(opened: Opened, tmp_path: Path) -> None:
    board = opened("")
    page = board.page
    expect(page.get_by_text("photographs of good parts on the Lines page")).to_be_visible()
    page.get_by_role("button", name="New line from good parts").click()
    expect(page.get_by_text("At least 20 are needed")).to_be_visible()
    title = page.get_by_role("textbox", name="Title of the line")
    title.fill(TITLE)  # and the photographs are dropped in before it is sent
    give(board, again=part(3), torn=part(5)[:900])
    expect(title).to_have_value(TITLE)
    expect(page.get_by_text("1 file is an exact copy")).to_be_visible()
    expect(page.get_by_text("torn.png: damaged or cut off")).to_be_visible()
    expect(page.get_by_text("59 would allow 5 %")).to_be_visible()
    board.page.reload()  # what was given is still there
    expect(page.get_by_test_id("stMetricValue")).to_have_text(str(PARTS))
    page.get_by_text("Keep small pictures of the good parts").click()
    start(board)
    expect(progress(board)).to_contain_text(re.compile(r": [\d,]+ of [\d,]+"), timeout=60_000)
    page.close()  # nobody looks
    board = opened("lines")
    page = board.page
    page.get_by_role("button", name=f"{TITLE}, bundle {BUNDLE} is being learned").click()
    expect(progress(board).or_(page.get_by_text("The line is ready")).first).to_be_visible()
    expect(page.get_by_text("The line is ready")).to_be_visible(timeout=LEARNED)
    expect(page.get_by_text("can be promised")).to_be_visible()
    expect(page.get_by_text("torn.png: damaged or cut off")).to_be_visible()
    expect(page.get_by_text("new-lines")).to_have_count(0)  # no path of the server
    page.get_by_role("button", name="Inspect with this line").click()
    expect(page.get_by_role("combobox", name="Line")).to_have_value(TITLE)
    board.settle()
    board.upload(("part.png", part(3)))
    expect(board.verdict).to_be_visible()
    expect(page.get_by_text("times the limit from anything remembered")).to_be_visible()
    page.get_by_text("Nearest good part").click()
    expect(page.get_by_role("img", name="This part")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"Good part \d+ of"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Good part \d+ of \d+, IMG_\d+\.png"))).to_be_visible()
    assert (tmp_path / "weights" / NAME / "line.json").is_file()
    assert board.complaints == []
    name_defects(board)


def name_defects(board: Dashboard) -> None:
    """What the line was learned from and what has a defect become a set, in which that has a name;
    the next bundle is begun from it."""
    page = board.visit("label").page

    def enter(field: str, text: str) -> None:
        box = page.get_by_role("textbox", name=field, exact=True)
        box.fill(text)
        box.press("Enter")
        board.settle()

    page.get_by_test_id("stTextInputField").first.fill("Ada")
    page.keyboard.press("Enter")
    board.settle()
    board.choose("Its classes", f"Those of {TITLE}")
    enter("Name", "Housings with names")
    page.get_by_role("button", name="Make it").click()
    page.get_by_role("button", name=re.compile(r"Add the \d+ photographs of good parts")).click()
    expect(page.get_by_text(re.compile(r"2\d images were added"))).to_be_visible()
    board.settle()
    defects = [draw("casting", "def", np.random.default_rng([i, 2]), SIDE) for i in range(5)]
    page.locator("input[type=file]").set_input_files(
        [
            {
                "name": f"defect {i}.png",
                "mimeType": "image/png",
                "buffer": cv2.imencode(".png", one)[1].tobytes(),
            }
            for i, one in enumerate(defects)
        ]
    )
    expect(page.get_by_text("5 images were added")).to_be_visible()
    sections = page.get_by_test_id("stButtonGroup").first
    sections.get_by_text("Label", exact=True).click()
    board.settle()
    page.get_by_role("button", name="Name a defect").click()
    enter("Name", "Pinhole")
    for i in range(5):
        expect(page.get_by_text(f"defect {i}.png ·")).to_be_visible()
        board.settle()
        page.keyboard.press("3")
        page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"\b(\d+) of \1 images are labelled"))).to_be_visible()
    sections.get_by_text("Train", exact=True).click()
    board.settle()
    expect(page.get_by_role("row", name=re.compile("Pinhole 5 gets its name"))).to_be_visible()
    page.get_by_text("Tell the classes apart").click()
    board.settle()
    page.get_by_role("button", name="Train", exact=True).last.click()
    expect(page.get_by_text("Deviation: 0 images show it, and at least 4")).to_be_visible()
    page.get_by_text("Remember good parts, and name known defects").click()
    board.settle()
    page.get_by_role("button", name="Train", exact=True).last.click()
    expect(progress(board)).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("What was done by then is kept")).to_be_visible()


class TestWithTheStandIn:
    """What cannot be brought about at will with the program itself."""

    @pytest.fixture
    def program(self, request: pytest.FixtureRequest) -> dict[str, str]:
        return in_the_way(**{"seconds": 0.3, **getattr(request, "param", {})})

    def test_a_title_that_is_sent_while_photographs_are_looked_at_loses_none(
        self, opened: Opened
    ) -> None:
        board = opened()
        many = [
            {"name": f"{i}.png", "mimeType": "image/png", "buffer": part(i)} for i in range(150)
        ]
        board.page.locator("input[type=file]").set_input_files(many)
        expect(board.page.get_by_text("Looking at the photographs").first).to_be_visible()
        for word in ("Pump", "Pump housings", TITLE):
            board.page.get_by_role("textbox", name="Title of the line").fill(word)
            board.page.keyboard.press("Enter")
            board.page.wait_for_timeout(150)
        expect(board.page.get_by_test_id("stMetricValue")).to_have_text("150")

    @pytest.mark.soak  # tests/web/new_line/test_page.py shows it without a browser
    def test_a_suspect_is_shown_and_left_out(self, opened: Opened) -> None:
        board = opened()
        page = board.page
        give(board)
        start(board)
        expect(page.get_by_text("1 photograph lies far from the rest")).to_be_visible(
            timeout=LEARNED
        )
        shown = page.locator(".st-key-new-line-suspects")
        expect(shown.locator("img")).to_be_visible()
        expect(shown).to_contain_text(re.compile(r"IMG_\d+\.png"))
        expect(page.get_by_text("Three times as far as the others")).to_be_visible()
        page.get_by_text("Leave out").click()
        page.get_by_role("button", name="Learn again without the marked ones").click()
        expect(page.get_by_text(f"{PARTS - 1} photographs of good parts")).to_be_visible()
        expect(page.get_by_text("The bundle is ready")).to_be_visible(timeout=LEARNED)
        assert board.complaints == []

    @pytest.mark.soak
    def test_a_second_window_waits_and_one_that_cancels_keeps_what_was_done(
        self, opened: Opened
    ) -> None:
        board, second = opened(), opened()
        give(board)
        give(second)
        start(board)
        expect(progress(board)).to_be_visible()
        second.page.get_by_role("textbox", name="Title of the line").fill("Another")
        second.page.keyboard.press("Enter")
        second.settle()
        expect(second.page.get_by_text(f"has '{TITLE}' learned now")).to_be_visible()
        expect(second.page.get_by_role("button", name="Start learning")).to_be_disabled()
        second.page.get_by_role("button", name=re.compile(f"{TITLE}.* is being learned")).click()
        expect(progress(second)).to_contain_text("Remembering good parts")
        second.page.get_by_role("button", name="Cancel").click()
        expect(second.page.get_by_text("What was done by then is kept")).to_be_visible()
        expect(board.page.get_by_text("What was done by then is kept")).to_be_visible()
        board.page.get_by_role("button", name="Go on").click()
        expect(board.page.get_by_text("The line is ready")).to_be_visible(timeout=LEARNED)

    @pytest.mark.soak  # tests/web/new_line/test_page.py shows it without a browser
    @pytest.mark.parametrize("program", [{"seconds": 1.0}], indirect=True)
    def test_a_run_that_the_end_of_the_server_cut_off_goes_on(self, opened: Opened) -> None:
        board = opened()
        give(board)
        start(board)
        expect(progress(board)).to_contain_text(re.compile(r": [3-9] of"))
        board.close()
        board = opened("lines", anew=True)
        board.page.get_by_role("button", name=re.compile(f"{TITLE}.* was cut off")).click()
        expect(board.page.get_by_text("The server ended while this line was")).to_be_visible()
        board.page.get_by_role("button", name="Go on").click()
        expect(progress(board)).to_contain_text("Remembering good parts")
        at = re.search(r": (\d+) of", progress(board).inner_text())
        assert at is not None and int(at[1]) >= 3
        expect(board.page.get_by_text("The line is ready")).to_be_visible(timeout=LEARNED)

    @pytest.mark.soak  # tests/web/new_line/test_page.py shows it without a browser
    @pytest.mark.parametrize(
        "program",
        [{"refuse": "only 12 different parts. Add photographs of other parts"}],
        indirect=True,
    )
    def test_a_refusal_is_said_and_its_photographs_are_kept_for_another_try(
        self, opened: Opened
    ) -> None:
        board = opened()
        page = board.page
        give(board)
        start(board)
        expect(page.get_by_text("only 12 different parts. Add photographs")).to_be_visible(
            timeout=60_000
        )
        with page.expect_download() as started:
            page.get_by_role("button", name="Log").click()
        assert "note: read all" in Path(started.value.path()).read_text()
        page.get_by_role("button", name="Change and start again").click()
        expect(page.get_by_test_id("stMetricValue")).to_have_text(str(PARTS))
        expect(page.get_by_role("textbox", name="Title of the line")).to_have_value(TITLE)

    def test_a_folder_of_the_server_and_a_title_that_is_taken(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        board = opened()
        page = board.page
        for i in range(PARTS):
            (tmp_path / "source" / f"{i}.png").write_bytes(part(i))
        page.get_by_text("Folder on the server").click()
        field = page.get_by_role("textbox", name="Folder")
        for outside in ("/etc", str(tmp_path / "source" / ".." / "weights")):
            field.fill(outside)
            field.press("Enter")
            expect(page.get_by_text("is not below a folder that may be read")).to_be_visible()
            board.settle()
        field.fill(str(tmp_path / "source"))
        field.press("Enter")
        expect(page.get_by_test_id("stMetricValue")).to_have_text(str(PARTS))
        start(board, "ポンプ")
        expect(page.get_by_text("letters a to z").first).to_be_visible()
        start(board)
        expect(page.get_by_text("The line is ready")).to_be_visible(timeout=LEARNED)
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("At least 20 are needed")).to_be_visible()
        title = page.get_by_role("textbox", name="Title of the line")
        expect(title).to_have_value("")
        title.fill(TITLE.upper())
        title.press("Enter")
        expect(page.get_by_text(f"becomes its bundle {BUNDLE}-2")).to_be_visible()
        assert len(list((tmp_path / "source").iterdir())) == PARTS
        menu = page.get_by_test_id("stTopNavLink").filter(has_text="Lines")
        for way in (page.get_by_role("button", name="All lines"), menu):
            way.click()
            expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
            expect(page).to_have_url(re.compile(r"/lines\?line="))
            board.settle()
            page.get_by_role("button", name="New line from good parts").click()
            expect(page.get_by_text("At least 20 are needed")).to_be_visible()
            board.settle()
