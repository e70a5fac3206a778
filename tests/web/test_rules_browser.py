"""Rules and zones as a person sets them, and what every surface says under them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.server import ROOT, Server, serving
from tests.stand_ins.strips import encoded, steel, strip_with
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "a-token-that-is-long-enough-for-anybody"
RULE = "reject: Class 3 longer than 50 px"


def command(server: Server, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", *words, "--weights", str(server.weights)],
        cwd=ROOT,
        env={**os.environ, "DEFECTVISION_STORE": str(folder / "store")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "coil"
    images.mkdir()
    (images / "plate.png").write_bytes(encoded(strip_with()))
    (images / "clean_0.png").write_bytes(encoded(steel()))
    (images / "clean_1.png").write_bytes(encoded(np.ascontiguousarray(steel()[::-1])))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A dashboard of the line severstal-strip with one batch of three strips."""
    write_bundle(folder / "weights", "severstal-strip", "unet")
    tokens = json.dumps({"mes": TOKEN})
    with serving(folder / "weights", folder / "log.txt", DEFECTVISION_API_TOKENS=tokens) as started:
        command(started, folder, "batch", str(folder / "coil"), "--line", "severstal-strip", "--db")
        yield started


@pytest.fixture
def board(chromium, server: Server) -> Iterator[Dashboard]:
    opened = Dashboard(chromium, server.url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard of the same line, in whose store nothing is kept."""
    folder = tmp_path_factory.mktemp("empty")
    write_bundle(folder / "weights", "severstal-strip", "unet")
    with serving(folder / "weights", folder / "log.txt") as started:
        yield started


@pytest.fixture
def plate(chromium, empty: Server) -> Iterator[Dashboard]:
    """A strip with a defect of each of three classes is open."""
    opened = Dashboard(chromium, empty.url)
    opened.open().upload(("plate.png", encoded(strip_with())))
    yield opened
    opened.close()


def add_rule(board: Dashboard, then: str, of: str, measure: str, limit: str) -> None:
    page = board.page
    page.get_by_role("button", name="Add a rule").click()
    expect(page.get_by_role("button", name="Add the rule")).to_be_visible()
    page.get_by_role("dialog").get_by_text(then, exact=True).click()
    board.choose("^Of", of)
    board.choose("^That are", measure)
    page.get_by_role("spinbutton", name="Limit").fill(limit)
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_role("button", name="Add the rule")).to_have_count(0)
    board.settle()


def draw_zone(board: Dashboard, corners: list[tuple[float, float]], kind: str) -> None:
    """corners: as shares of the stage, which the strip fills from left to right."""
    page = board.page
    page.get_by_role("button", name="Draw a zone").click()
    box = board.stage.bounding_box()
    assert box is not None
    for x, y in corners:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.get_by_label("What the zone is for").select_option(kind)
    page.get_by_role("button", name="Add the zone").click()
    board.settle()


PLATE = [(0.1, 0.05), (0.22, 0.05), (0.22, 0.95), (0.1, 0.95)]  # around the defect of class 3


def test_a_rule_put_in_force_is_followed_by_every_surface(
    board: Dashboard, server: Server, folder: Path, tmp_path: Path
) -> None:
    page = board.page
    board.visit("results").open_row(2)
    name = page.get_by_role("textbox", name="Your name")
    name.fill("Ada")
    name.press("Enter")
    board.settle()
    # A score that rejects nothing: what is rejected then is so by the rule.
    board.set_threshold("Reject from", "1")
    board.set_threshold("Accept below", "1")
    page.get_by_text("Rules and zones").click()
    expect(page.get_by_text("the score alone decides")).to_be_visible()
    add_rule(board, "reject", "Class 3", "Longer than", "50")
    expect(page.get_by_text(RULE, exact=True)).to_be_visible()
    page.get_by_text("The rules alone").click()
    board.settle()
    board.shows("Reject")
    expect(board.verdict).to_contain_text(f"{RULE} (100 px)")

    page.get_by_role("button", name="Put in force").click()
    page.get_by_role("textbox", name="Reason").fill("long ones leak")
    page.get_by_role("textbox", name="Reason").press("Enter")
    page.get_by_role("button", name="Save as the policy in force").click()
    expect(page.get_by_text("is in force for everyone")).to_be_visible()
    said = {"plate.png": "reject", "clean_0.png": "accept", "clean_1.png": "accept"}

    asked = Request(
        f"{server.url}/api/v1/batches/1/results", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urlopen(asked) as answer:
        found = json.load(answer)
    assert {part["path"]: part["verdict"] for part in found["results"]} == said
    assert found["verdicts"]["reject"] == 1
    broken = {part["path"]: part["broken_rules"] for part in found["results"]}
    assert broken == {"plate.png": [f"{RULE} (100 px)"], "clean_0.png": [], "clean_1.png": []}

    table = csv.DictReader(io.StringIO(board.download("CSV", tmp_path).decode("utf-8-sig")))
    assert {row["name"]: row["verdict"] for row in table} == said

    told = command(
        server, folder, "inspect", str(folder / "coil"), "--line", "severstal-strip", "--json"
    )
    parts = [json.loads(line) for line in told.splitlines()]
    assert {Path(part["path"]).name: part["verdict"] for part in parts} == said

    board.visit("audit")
    expect(page.locator("[data-testid=stDataFrame] table")).to_contain_text(
        f"rules from none to {RULE.replace('Class 3', '3')}"
    )


def test_what_lies_in_an_ignored_zone_counts_nowhere(plate: Dashboard) -> None:
    board, page = plate, plate.page
    rows = page.locator(".regions tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_text("Rules and zones").click()
    draw_zone(board, PLATE, "ignored")
    expect(rows).to_have_count(2)
    expect(rows.filter(has_text="Class 3")).to_have_count(0)
    expect(page.get_by_text("Zone 1: ignored", exact=True)).to_be_visible()
    expect(page.locator(".zone.ignored title")).to_have_text("Zone 1, ignored")
    # Another name is offered for the next one, and the same one is refused in words.
    page.get_by_role("button", name="Draw a zone").click()
    box = board.stage.bounding_box()
    assert box is not None
    for x, y in PLATE[:3]:
        page.mouse.click(box["x"] + (x + 0.4) * box["width"], box["y"] + y * box["height"])
    expect(page.get_by_label("Name", exact=True)).to_have_value("Zone 2")
    page.get_by_label("Name", exact=True).fill("Zone 1")
    page.get_by_role("button", name="Add the zone").click()
    expect(page.get_by_text("Two zones are named 'Zone 1'.")).to_be_visible()
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    expect(rows).to_have_count(3)


def test_a_zone_is_drawn_by_keyboard_and_a_rule_holds_there_only(plate: Dashboard) -> None:
    board, page = plate, plate.page
    page.get_by_text("Rules and zones").click()
    board.stage.focus()
    page.keyboard.press("z")
    for keys in (["Enter"], ["ArrowLeft"] * 4 + ["Enter"], ["ArrowUp"] * 2 + ["Enter"]):
        for key in keys:
            page.keyboard.press(key)
        board.glided()
    page.keyboard.press("Backspace")
    expect(page.locator(".zone-words")).to_have_text("Click the zone's corners: 1 more at least.")
    page.keyboard.press("Enter")
    expect(page.locator(".zone-words")).to_have_text("3 corners.")
    page.get_by_label("Name", exact=True).fill("rim")
    page.keyboard.press("Enter")
    expect(page.get_by_text("rim: a zone for rules", exact=True)).to_be_visible()
    board.settle()

    board.set_threshold("Reject from", "1")
    board.set_threshold("Accept below", "1")
    page.get_by_role("button", name="Add a rule").click()
    board.choose("^Where", "Reaching into rim")
    page.get_by_role("button", name="Add the rule").click()
    expect(page.get_by_text("reject: any defect in zone rim", exact=True)).to_be_visible()
    # A zone that a rule names stays until the rule has gone.
    page.get_by_role("button", name=re.compile("^Remove")).last.click()
    expect(
        page.get_by_text("A rule names zone 'rim', which is not drawn or ignored.")
    ).to_be_visible()
    expect(page.get_by_text("rim: a zone for rules", exact=True)).to_be_visible()


def test_a_rule_in_mm_needs_a_scale_and_keeps_it(plate: Dashboard) -> None:
    board, page = plate, plate.page
    page.get_by_text("Rules and zones").click()
    page.get_by_role("button", name="Add a rule").click()
    expect(page.get_by_text("For limits in mm set the scale first")).to_be_visible()
    page.keyboard.press("Escape")
    board.set_threshold("Scale, mm per px", "0.5")
    add_rule(board, "review", "Any defect", "Longer than", "20")
    expect(page.get_by_text("review: any defect longer than 20 mm", exact=True)).to_be_visible()
    expect(board.verdict).to_contain_text("review: any defect longer than 20 mm (50 mm)")
    board.set_threshold("Scale, mm per px", "")
    expect(
        page.get_by_text("A rule is in mm, and the scale of the picture is not known.")
    ).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Scale, mm per px")).to_have_value("0.5")
