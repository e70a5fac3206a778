"""Text from outside is shown as text: it loads nothing, and is no link, picture or format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from defectvision.bundle.schema import ABOUT_FILE, CARD_FILE, LINE_FILE
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.server import Server, serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser

ELSEWHERE = "127.0.0.1:9"
HOSTILE = (
    f"![b](http://{ELSEWHERE}/b.png) [click](http://{ELSEWHERE}/) http://{ELSEWHERE}/x "
    f"<a href='http://{ELSEWHERE}/h'>a</a> <img src=http://{ELSEWHERE}/i.png>"
)


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A line of which every text comes from somebody else."""
    folder = tmp_path_factory.mktemp("plant")
    place = write_bundle(folder / "weights", "casting", "resnet50")
    edit(place.parent / LINE_FILE, hostile_line)
    edit(place / ABOUT_FILE, hostile_bundle)
    (place / CARD_FILE).write_text(f"# Card {HOSTILE}\n\n[ref]: http://{ELSEWHERE}/\n![x][ref]\n")
    with serving(folder / "weights", folder / "log.txt") as server:
        yield server


def edit(file: Path, change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def hostile_line(content: dict) -> None:
    content["title"] = f"Castings {HOSTILE}"
    for about in content["classes"]:
        about["title"] = f"{about['name']} {HOSTILE}"


def hostile_bundle(content: dict) -> None:
    content["provenance"] = {
        "data": HOSTILE,
        "recipe": {"caution": f"**Beware** {HOSTILE}"},
        "sources": [{"name": HOSTILE, "source": HOSTILE, "licence": HOSTILE}],
    }


@pytest.fixture
def board(chromium, plant: Server) -> Iterator[tuple[Dashboard, list[str]]]:
    board = Dashboard(chromium, plant.url)
    asked: list[str] = []
    board.page.on("request", lambda request: asked.append(request.url))
    yield board, asked
    board.close()


def shows_text_alone(board: Dashboard, asked: list[str]) -> None:
    assert board.page.locator(f'[href*="{ELSEWHERE}"], [src*="{ELSEWHERE}"]').count() == 0
    assert board.page.locator("a", has_text=ELSEWHERE).count() == 0
    assert not [url for url in asked if ELSEWHERE in url], asked


def test_titles_cautions_and_cards_are_text_on_every_page(board) -> None:
    board, asked = board
    board.visit("lines")
    board.page.get_by_text("Model card").click()
    board.page.get_by_text("Provenance", exact=True).click()
    board.settle()
    expect(board.page.get_by_text("Castings ![b]").first).to_be_visible()
    expect(board.page.locator("[data-testid=stCode]")).to_contain_text("![x][ref]")
    shows_text_alone(board, asked)
    board.visit("")
    board.page.get_by_text("Beware", exact=True).click()
    expect(board.page.locator(".st-key-caution").get_by_text("![b]").first).to_be_visible()
    shows_text_alone(board, asked)
    board.upload((f"![n](http:\\{ELSEWHERE}) www.example.com a@b.example.png", casting("def", 105)))
    shows_text_alone(board, asked)
    board.visit("batches")
    board.page.get_by_role("textbox", name="Title").fill(HOSTILE)
    field = board.page.locator("input[type=file]").first
    field.set_input_files(
        [{"name": "a.png", "mimeType": "image/png", "buffer": casting("def", 105)}]
    )
    board.settle()
    board.page.get_by_role("button", name="Start batch").click()
    expect(board.page.locator(".st-key-batch-progress")).to_contain_text("Done", timeout=60_000)
    shows_text_alone(board, asked)
    for page in ("results", "review"):
        board.visit(f"{page}?batch=1")
        expect(board.page.get_by_text("![b]").first).to_be_visible()
        shows_text_alone(board, asked)
    assert not board.page.locator("a[href^=mailto], a[href*='www.']").count()
