"""Masks, regions and the scale as a person uses them, in a real Chromium."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.server import Server, serving
from tests.stand_ins.strips import encoded, steel, strip_with
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser
PICTURE_BYTES = 200_000  # less than the strip's picture takes on its way to the page


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard of the one line severstal-strip."""
    folder = tmp_path_factory.mktemp("strips")
    write_bundle(folder / "weights", "severstal-strip", "unet")
    with serving(folder / "weights", folder / "log.txt") as started:
        yield started


@pytest.fixture
def strip(chromium, strips: Server) -> Iterator[Dashboard]:
    """A strip with a defect of each of three classes is open."""
    opened = Dashboard(chromium, strips.url)
    opened.received = 0

    def count(payload: str | bytes) -> None:
        opened.received += len(payload)

    opened.page.on("websocket", lambda socket: socket.on("framereceived", count))
    opened.open()
    opened.upload(("strip.png", encoded(strip_with())))
    opened.shows("Reject", reject=1)
    expect(rows(opened)).to_have_count(3)
    yield opened
    complaints = opened.complaints
    opened.close()
    assert complaints == []


def rows(dashboard: Dashboard) -> Locator:
    return dashboard.page.locator(".regions tbody tr")


def region(dashboard: Dashboard, number: int) -> Locator:
    return dashboard.page.locator(f".region[data-index='{number}']")


def test_masks_and_regions_are_seen(strip: Dashboard) -> None:
    page = strip.page
    expect(rows(strip).nth(0)).to_have_text(re.compile("Class 3.*4,000 px.*100.0 px.*40.0 px"))
    expect(rows(strip).nth(1)).to_contain_text("900 px")
    expect(rows(strip).nth(2)).to_have_text(re.compile("Class 1.*121 px.*1,305 px.*105 px"))
    expect(page.locator(".region")).to_have_count(3)
    # The picture is as wide as the page leaves room, and the outline lies on the plate.
    stage, plate = strip.stage.bounding_box(), region(strip, 0).bounding_box()
    assert stage is not None and plate is not None
    assert stage["width"] > 1000
    scale = stage["width"] / 1600
    assert plate["x"] - stage["x"] == pytest.approx(200 * scale, abs=4)
    assert plate["width"] == pytest.approx(100 * scale, abs=6)
    assert plate["height"] == pytest.approx(40 * scale, abs=6)
    card = strip.verdict.bounding_box()
    assert card is not None and card["y"] + card["height"] < 900


def test_classes_and_layers_are_switched_without_the_server(strip: Dashboard) -> None:
    page = strip.page
    strip.settle()
    sent = strip.sent
    page.get_by_role("checkbox", name=re.compile("Class 3")).uncheck()
    expect(region(strip, 0)).to_be_hidden()
    expect(region(strip, 1)).to_be_visible()
    expect(rows(strip)).to_have_count(2)
    expect(page.locator(".region-count")).to_have_text("3 (1 hidden)")
    page.get_by_role("checkbox", name=re.compile("Class 3")).press("Space")
    expect(region(strip, 0)).to_be_visible()
    page.get_by_label("Mask opacity").fill("0")
    expect(page.locator(".masks")).to_have_attribute("style", re.compile("--fill: 0;"))
    heat, masks = page.locator("img.heat"), page.locator(".masks")
    for name, heated, masked in (("Heatmap", True, False), ("Both", True, True)):
        page.get_by_text(name, exact=True).click()
        expect(heat).to_be_visible(visible=heated)
        expect(masks).to_be_visible(visible=masked)
    page.get_by_role("radio", name="Masks").check(force=True)
    expect(heat).to_be_hidden()
    assert strip.sent == sent, "the script ran again"


def test_rows_and_regions_find_each_other(strip: Dashboard) -> None:
    page, stage = strip.page, strip.stage
    strip.settle()
    sent = strip.sent
    rows(strip).nth(2).click()
    expect(stage).to_have_attribute("data-region", "2")
    expect(rows(strip).nth(2)).to_have_attribute("aria-selected", "true")
    strip.glided()
    frame, pit = stage.bounding_box(), region(strip, 2).bounding_box()
    assert frame is not None and pit is not None
    for start, size in (("x", "width"), ("y", "height")):
        middle = pit[start] + pit[size] / 2 - frame[start]
        assert middle == pytest.approx(frame[size] / 2, abs=6)
    stage.press("0")
    strip.glided()
    plate = region(strip, 0).bounding_box()
    assert plate is not None
    page.mouse.click(plate["x"] + plate["width"] / 2, plate["y"] + plate["height"] / 2)
    expect(rows(strip).nth(0)).to_have_attribute("aria-selected", "true")
    expect(rows(strip).nth(2)).to_have_attribute("aria-selected", "false")
    # The same by keyboard: one stop of the Tab key each, arrows from there.
    rows(strip).nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(rows(strip).nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(stage).to_have_attribute("data-region", "1")
    region(strip, 1).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(rows(strip).nth(2)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(stage).to_have_attribute("data-region", "")
    page.get_by_role("button", name="Area").click()
    expect(rows(strip).nth(0)).to_contain_text("121 px")
    assert strip.sent == sent, "the script ran again"


def test_a_scale_is_set_and_read_in_millimetres(strip: Dashboard, tmp_path: Path) -> None:
    strip.set_threshold("Scale, mm per px", "0.5")
    expect(rows(strip).nth(0)).to_have_text(re.compile("1,000 mm².*4,000 px.*50 mm.*20 mm"))
    strip.set_threshold("Scale, mm per px", "0.2")
    expect(rows(strip).nth(0)).to_have_text(re.compile("160 mm².*20 mm.*8 mm"))

    found = json.loads(strip.download("JSON", tmp_path))
    assert found["policy"]["mm_per_px"] == 0.2
    assert found["regions"][0]["area_mm2"] == 160
    table = strip.download("Regions as CSV", tmp_path).decode("utf-8-sig")
    first, *others = csv.DictReader(io.StringIO(table))
    assert (first["class"], first["area_px"], first["area_mm2"]) == ("3", "4000", "160")
    assert len(others) == 2


def measured(strip: Dashboard) -> Locator:
    return strip.page.locator("output.length")


def test_a_length_is_measured_and_sets_the_scale(strip: Dashboard) -> None:
    """By two clicks; by keyboard at the cross in the middle; and only where the ruler is on."""
    page, stage = strip.page, strip.stage
    plate = region(strip, 0).bounding_box()
    assert plate is not None
    left, right = plate["x"] + 1, plate["x"] + plate["width"] - 1
    middle = plate["y"] + plate["height"] / 2
    page.get_by_role("button", name="Ruler").click()
    page.mouse.click(left, middle)
    expect(measured(strip)).to_have_text("Now the other end.")
    page.mouse.click(right, middle)
    expect(measured(strip)).to_have_text(re.compile(r"^\d+\.\d px$"))
    length = float(measured(strip).inner_text().split()[0])
    assert length == pytest.approx(100, abs=4), "the plate is 100 px long"
    expect(rows(strip).nth(0)).to_have_attribute("aria-selected", "false")
    page.get_by_label("Its true length, mm").fill("50")
    page.get_by_role("button", name="Set the scale").first.click()
    expect(page.get_by_role("spinbutton", name="Scale, mm per px")).not_to_have_value("")
    expect(measured(strip)).to_have_text(re.compile(r" px = 50\.00 mm$"))
    expect(rows(strip).nth(0)).to_contain_text("mm²")
    # A click chooses regions again when the ruler is off.
    page.get_by_role("button", name="Ruler").click()
    plate = region(strip, 0).bounding_box()  # the word on the moved policy stands above it now
    assert plate is not None
    page.mouse.click(plate["x"] + plate["width"] / 2, plate["y"] + plate["height"] / 2)
    expect(rows(strip).nth(0)).to_have_attribute("aria-selected", "true")
    stage.press("m")
    stage.press("Enter")
    stage.press("ArrowLeft")
    strip.glided()
    stage.press("Enter")
    expect(measured(strip)).to_have_text(re.compile(r"px = \d"))
    stage.press("Escape")
    expect(measured(strip)).to_have_text("")
    assert strip.complaints == []


def test_a_moved_policy_sends_regions_and_no_picture(strip: Dashboard) -> None:
    assert strip.received > PICTURE_BYTES
    page = strip.page
    page.get_by_text("Regions and thresholds").click()
    before = strip.received
    strip.set_threshold("Smallest region, px", "100")
    expect(rows(strip)).to_have_count(3)
    strip.set_threshold("Smallest region, px", "500")
    expect(rows(strip)).to_have_count(2)
    strip.set_threshold("Smallest region, px", "0")
    expect(rows(strip)).to_have_count(4)
    strip.set_threshold("Class 3: mask from", "1")
    expect(rows(strip)).to_have_count(3)
    assert strip.received - before < PICTURE_BYTES
    strip.set_threshold("Reject from", "0.9")
    expect(rows(strip)).to_have_count(3)  # one threshold does not undo another
    page.get_by_role("button", name="Back to the policy in force").click()
    expect(rows(strip)).to_have_count(3)
    expect(page.get_by_role("spinbutton", name="Smallest region, px")).to_have_value("20")


def test_several_labels_or_none(strip: Dashboard) -> None:
    expect(strip.verdict).to_contain_text("Class 3")
    strip.page.get_by_text("Regions and thresholds").click()
    strip.set_threshold("Class 2: named from", "0.1")
    expect(strip.verdict).to_contain_text("Class 2")
    strip.upload(("clean.png", encoded(steel())))
    strip.opened("clean.png")
    strip.shows("No defect", accept=1, reject=1)
    expect(strip.page.locator(".no-region")).to_be_visible()
    expect(strip.page.locator(".no-mask")).to_be_hidden()
    strip.lists({"strip.png": "reject", "clean.png": "accept"})
