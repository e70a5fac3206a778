"""A batch in a real browser: started, followed, filtered, reviewed, exported, found again."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd
import pypdfium2
import pytest
from playwright.sync_api import Locator, expect

from tests.stand_ins.castings import casting
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser


@cache
def files() -> tuple[tuple[str, bytes], ...]:
    """As many of each; scores under the stand-in bundle differ from seed to seed."""
    return tuple((f"{n}_{i}.png", casting(n, i)) for n in ("ok", "def") for i in range(100, 115))


@pytest.fixture(scope="module")
def plant(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose store is its own, and a folder that it may read."""
    folder = tmp_path_factory.mktemp("plant")
    camera = folder / "camera"
    camera.mkdir()
    (camera / "one.png").write_bytes(files()[0][1])
    with serving(weights, folder / "log.txt", DEFECTVISION_SOURCE_ROOTS=f'["{camera}"]') as server:
        yield server


@pytest.fixture
def board(chromium, plant: Server) -> Iterator[Dashboard]:
    board = Dashboard(chromium, plant.url)
    yield board
    board.close()


def go(board: Dashboard, page: str, link: Locator | None = None) -> None:
    """To another page, by its name above or by a link. A look of the Batches page at its batches
    that is under way takes the place of a click of the same moment, so that one may need two."""
    above = board.page.get_by_test_id("stTopNavLink").filter(has_text=page)
    for _ in range(3):
        (link or above).click()
        board.settle()
        if above.get_attribute("aria-current") == "page":
            return
    raise AssertionError(f"the page {page} does not open")


def tile(board: Dashboard, word: str) -> Locator:
    tiles = board.page.locator(".st-key-batch-tiles [data-testid=stMetric]")
    return tiles.filter(has_text=word).get_by_test_id("stMetricValue")


def number(board: Dashboard, word: str) -> int:
    return int(tile(board, word).inner_text().replace(",", ""))


def export(board: Dashboard, name: str, folder: Path) -> bytes:
    with board.page.expect_download() as started:
        board.page.locator(f".st-key-export-{name.replace(' ', '-')} button").click()
    started.value.save_as(folder / "out")
    return (folder / "out").read_bytes()


def start(board: Dashboard, title: str, *files: tuple[str, bytes]) -> None:
    """Fill in the form of the Batches page and wait until the batch is done."""
    board.page.get_by_role("textbox", name="Title").fill(title)
    payload = [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in files]
    board.page.locator("section[data-testid=stSidebar] input[type=file]").set_input_files(payload)
    board.settle()
    board.page.get_by_role("button", name="Start batch").click()
    board.settle()
    expect(board.page.locator(".st-key-batch-progress")).to_contain_text(title)


def test_a_shift_from_upload_to_report(board: Dashboard, tmp_path: Path) -> None:
    board.open()
    go(board, "Batches")
    expect(board.page.get_by_text("Nothing was inspected as a batch yet")).to_be_visible()
    start(board, "Lot 7", *files(), ("broken.png", b"no image"))
    # The tab is reloaded while the batch runs, or just after: it goes on without it.
    board.page.reload()
    card = board.page.locator(".st-key-batch-progress")
    expect(card).to_contain_text("Lot 7")
    # What the reload broke off, and Streamlit's search for its server below the page's address.
    board.complaints.clear()
    expect(card).to_contain_text("31 of 31 images", timeout=60_000)
    expect(card).to_contain_text("Done")
    expect(card).to_contain_text("images/s")
    board.page.get_by_text("1 file was not inspected").click()
    go(board, "Results", card.get_by_role("link", name="Results"))
    expect(tile(board, "Images")).to_have_text("30")
    expect(tile(board, "Not inspected")).to_have_text("1")
    assert "batch=" in board.page.url

    # Moving a threshold recolours tiles at once; filtering leaves the rejected.
    board.set_threshold("Reject from", "0.95")
    strict = number(board, "Reject")
    board.set_threshold("Reject from", "0.6")
    expect(tile(board, "Reject")).not_to_have_text(str(strict))
    rejected = number(board, "Reject")
    assert 0 < strict < rejected < 30
    board.page.get_by_test_id("stSidebar").get_by_text("Reject", exact=True).click()
    board.settle()
    # Counts stay those of the lot, and the policy that was moved is called what it is.
    expect(tile(board, "Images")).to_have_text("30")
    expect(tile(board, "Reject")).to_have_text(str(rejected))
    expect(board.page.get_by_text(f"{rejected} of 30 shown")).to_be_visible()
    expect(board.page.locator(".st-key-what-if")).to_contain_text("What-if, not in force")
    rows = board.table(min(25, rejected))
    assert {row[2].split(maxsplit=1)[-1] for row in rows} == {"Reject"}

    # A row opens its image; N goes on.
    board.page.get_by_test_id("stDataFrame").first.click(position={"x": 200, "y": 60})
    expect(board.page.locator(".dv-name")).to_have_text(rows[0][1])
    board.page.keyboard.press("n")
    expect(board.page.locator(".dv-name")).to_have_text(rows[1][1])
    expect(board.page.locator(".stage")).to_be_visible()

    # What leaves is what is shown.
    board.page.get_by_role("button", name="Export").click()
    table = pd.read_csv(io.BytesIO(export(board, "CSV", tmp_path)))
    assert len(table) == rejected and set(table["final_verdict"]) == {"reject"}
    assert set(table["reject_above"]) == {0.6}
    words = "".join(
        page.get_textpage().get_text_range()
        for page in pypdfium2.PdfDocument(export(board, "PDF report", tmp_path))
    )
    assert "Lot 7" in words and f"{rejected} of 30 parts shown. Extract" in words
    assert "Released by" not in words
    assert board.complaints == []


def sign(board: Dashboard, who: str) -> None:
    """Give a name, and leave its field so that keys are shortcuts again."""
    name = board.page.get_by_role("textbox", name="Your name")
    name.fill(who)
    name.press("Enter")
    board.settle()
    name.blur()


def test_a_lot_is_inspected_again_and_what_changed_is_listed(board, tmp_path: Path) -> None:
    board.visit("batches")
    board.complaints.clear()
    start(board, "Lot 8", *files()[10:20])
    card = board.page.locator(".st-key-batch-progress")
    expect(card).to_contain_text("Done", timeout=60_000)
    card.get_by_role("button", name="Inspect again").click()
    expect(board.page.get_by_text("10 pictures kept in the store")).to_be_visible()
    board.page.get_by_role("button", name="Inspect again").last.click()
    expect(card).to_contain_text("Lot 8, again with efficientnet_lite0")
    expect(card).to_contain_text("Done", timeout=60_000)
    board.settle()
    card.get_by_role("link", name="Changes since batch").click()
    said = board.page.get_by_test_id("stAlert").first
    expect(said).to_contain_text(re.compile("of 10 came to another verdict"))
    changed = int(re.search(r"(\d+) images? of 10", said.inner_text())[1])
    cells = [board.page.locator(f".st-key-changes-{i}-{j}") for i in range(3) for j in range(3)]
    counts = [int(cell.inner_text()) for cell in cells]
    assert sum(counts) == 10 and 0 < changed == 10 - sum(counts[::4])
    board.page.get_by_role("button", name="Export").click()
    table = pd.read_csv(io.BytesIO(export(board, "CSV", tmp_path)))
    assert len(table) == changed and (table["verdict_before"] != table["verdict_after"]).all()
    board.page.keyboard.press("Escape")
    cells[next(i for i, count in enumerate(counts) if count and i % 4)].get_by_role(
        "button"
    ).click()
    board.settle()
    expect(board.page.get_by_text(re.compile("^Before .*, after .*"))).to_be_visible()
    board.open_row(0)
    board.page.get_by_role("button", name=re.compile("Open in batch")).last.click()
    expect(board.page.locator(".dv-name")).to_be_visible()


def test_three_decisions_by_keyboard_and_one_taken_back(board: Dashboard) -> None:
    board.open()
    go(board, "Batches")
    start(board, "Lot 8", *files()[10:20])
    expect(board.page.locator(".st-key-batch-progress")).to_contain_text("Done", timeout=60_000)
    go(board, "Review")
    expect(board.page.get_by_text("Give your name on the left")).to_be_visible()
    sign(board, "Ada")
    board.page.get_by_role("radio", name="The rest").click()
    board.settle()
    shown = board.page.locator(".dv-name")
    note = board.page.get_by_text(re.compile(r"\d+ waits? for a person, \d+ decided"))
    expect(note).to_contain_text("0 decided")
    for key, done in (("a", 1), ("x", 2), ("b", 3)):
        before = shown.inner_text()
        board.page.keyboard.press(key)
        expect(note).to_contain_text(f"{done} decided")
        expect(shown).not_to_have_text(before)
    third = before
    board.page.keyboard.press("u")
    expect(note).to_contain_text("2 decided")
    expect(shown).to_have_text(third)
    board.page.keyboard.press("s")
    expect(shown).not_to_have_text(third)
    expect(note).to_contain_text("2 decided")
    table = board.page.locator("[data-testid=stDataFrame] table tbody tr")
    expect(table).to_have_count(1)
    assert table.first.locator("td").all_inner_texts()[:2] == ["Ada", "model"]
    # Without what the model says, its heatmap and verdict are gone and the picture stays.
    board.page.get_by_text("Hide what the model says").click()
    board.settle()
    expect(board.verdict).to_have_count(0)
    expect(board.page.locator(".stage .picture")).to_be_visible()
    expect(board.page.locator(".stage .heat")).to_be_hidden()
    assert board.complaints == []


@pytest.mark.soak  # tests/web/test_evaluate_browser.py puts one in force and finds it everywhere
def test_a_policy_is_put_in_force_for_everyone(chromium, board: Dashboard) -> None:
    board.open()
    go(board, "Batches")
    start(board, "Lot 9", *files()[:4])
    go(board, "Results")
    board.set_threshold("Reject from", "0.77")
    sign(board, "Ada")
    expect(board.page.locator(".st-key-what-if")).to_be_visible()
    save_policy(board, "fewer false rejects")
    expect(board.page.get_by_text("Policy 1 is in force for everyone")).to_be_visible()
    expect(board.page.locator(".st-key-what-if")).to_have_count(0)
    expect(board.page.get_by_text("1 saved policy")).to_be_visible()
    other = Dashboard(chromium, board.url)
    other.open()
    expect(other.page.get_by_role("spinbutton", name="Reject from")).to_have_value("0.770")
    assert other.complaints == board.complaints == []
    other.close()


def save_policy(board: Dashboard, why: str) -> None:
    board.page.get_by_role("button", name="Put in force").click()
    reason = board.page.get_by_role("textbox", name="Reason")
    reason.fill(why)
    reason.press("Enter")
    board.settle()
    board.page.get_by_role("button", name="Save as the policy in force").click()
    board.settle()


def test_a_lot_is_decided_released_and_stays_as_it_was(
    board: Dashboard, plant: Server, tmp_path: Path
) -> None:
    board.open()
    go(board, "Batches")
    start(board, "Lot 10", *files()[20:26])
    card = board.page.locator(".st-key-batch-progress")
    expect(card).to_contain_text("Done", timeout=60_000)
    go(board, "Results", card.get_by_role("link", name="Results"))
    sign(board, "Ada")
    expect(tile(board, "Images")).to_have_text("6")

    # A decision beside the table counts at once, and says whose it is.
    table = board.page.locator("[data-testid=stDataFrame]:visible").first
    table.click(position={"x": 200, "y": 60})
    board.settle()
    shown = board.page.locator(".dv-name").inner_text()
    board.page.get_by_text("Decide on this part").click()
    note = board.page.get_by_role("textbox", name="Note")
    note.fill("seen under the lamp")
    note.press("Enter")
    board.settle()
    board.page.get_by_role("button", name="Not a part, or a bad picture").click()
    expect(tile(board, "Unusable")).to_have_text("1")
    expect(board.page.locator(".st-key-decision")).to_contain_text("Decided: Unusable")
    expect(board.page.locator(".st-key-decision")).to_contain_text("seen under the lamp")
    go(board, "Review", board.page.get_by_role("link", name="Open in Review"))
    expect(board.page.locator(".dv-name")).to_have_text(shown)
    go(board, "Results")
    expect(board.page.get_by_role("textbox", name="Your name")).to_have_value("Ada")
    expect(tile(board, "Unusable")).to_have_text("1")

    board.page.get_by_role("button", name="Release").click()
    reason = board.page.get_by_role("textbox", name="Reason")
    reason.fill("order complete")
    reason.press("Enter")
    board.settle()
    board.page.get_by_role("button", name="Release the lot").click()
    expect(board.page.get_by_role("button", name="Released, version 1")).to_be_visible()
    counts = [number(board, name) for name in ("Accept", "Review", "Reject", "Unusable")]
    board.page.get_by_role("button", name="Export").click()
    report = export(board, "v1-PDF report", tmp_path)

    # A policy that is saved later changes nothing of it, and says what it would change.
    board.page.keyboard.press("Escape")
    board.set_threshold("Reject from", "0.9")
    board.set_threshold("Accept below", "0.9")
    save_policy(board, "a trial")
    assert [number(board, name) for name in ("Accept", "Review", "Reject", "Unusable")] == counts
    board.page.get_by_role("button", name="Export").click()
    assert export(board, "v1-PDF report", tmp_path) == report
    board.page.keyboard.press("Escape")
    board.page.get_by_role("button", name="Released, version 1").click()
    expect(board.page.get_by_text(re.compile(r"In force today is policy \d"))).to_be_visible()

    # It is deleted only under a name, with a reason, and when that is said twice.
    go(board, "Batches")
    board.page.get_by_role("button", name="Delete").click()
    delete = board.page.get_by_role("button", name="Delete the batch")
    expect(delete).to_be_disabled()
    reason = board.page.get_by_role("textbox", name="Reason")
    reason.fill("a trial")
    reason.press("Enter")
    board.settle()
    expect(delete).to_be_disabled()
    board.page.get_by_text("Delete its releases and their reports as well").click()
    board.settle()
    delete.click()
    expect(card.filter(has_text="Lot 10")).to_have_count(0)
    go(board, "Audit")
    trail = board.page.locator("[data-testid=stDataFrame] table tbody")
    for words in ("batch deleted", "lot released", "policy saved", "batch started"):
        expect(trail).to_contain_text(words)
    assert board.complaints == []


def test_a_folder_of_the_server_is_watched_until_it_is_finished(
    board: Dashboard, plant: Server
) -> None:
    board.open()
    go(board, "Batches")
    board.page.get_by_role("radio", name="Watched folder").click()
    board.settle()
    board.page.get_by_role("textbox", name="Title").fill("Camera 3")
    board.page.get_by_role("button", name="Start batch").click()
    card = board.page.locator(".st-key-batch-progress")
    expect(card).to_contain_text("Watching")
    expect(card).to_contain_text("1 of 1 image", timeout=30_000)
    camera = next(plant.weights.parent.glob("plant*/camera"))
    (camera / "two.png").write_bytes(files()[16][1])
    expect(card).to_contain_text("2 of 2 images", timeout=30_000)
    board.page.get_by_role("button", name="Finish").click()
    expect(card).to_contain_text("Done")
    assert board.complaints == []


def test_each_page_shows_the_same_thresholds_lot_and_name(board: Dashboard) -> None:
    """Whichever way one goes between the pages, and whichever policy was moved on one of them."""
    board.open()
    go(board, "Batches")
    for title in ("Lot 11", "Lot 12"):
        start(board, title, *files()[:2])
    go(board, "Results")
    sign(board, "Ada")
    board.page.get_by_role("combobox", name="Batch").click()
    board.page.get_by_role("option", name=re.compile("Lot 11")).click()
    board.settle()
    shown = [board.page.get_by_role("spinbutton", name=n) for n in ("Accept below", "Reject from")]
    before = [field.input_value() for field in shown]
    for _ in range(2):
        for page in ("Inspect", "Results"):
            go(board, page)
            for field, value in zip(shown, before, strict=True):
                expect(field).to_have_value(value)
    board.set_threshold("Accept below", "0.111")
    for page in ("Inspect", "Results", "Inspect"):
        go(board, page)
        expect(shown[0]).to_have_value("0.111")
        expect(board.page.locator(".st-key-what-if")).to_be_visible()
    for page in ("Review", "Results"):
        go(board, page)
        expect(board.page.get_by_role("combobox", name="Batch")).to_have_value(re.compile("Lot 11"))
        expect(board.page.get_by_role("textbox", name="Your name")).to_have_value("Ada")
    assert board.complaints == []
