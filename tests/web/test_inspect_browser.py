"""The Inspect and Lines pages as a person uses them, in a real Chromium."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.stand_ins.castings import CLEAR_DEFECT, DOUBTFUL_DEFECT, GOOD, casting
from tests.stand_ins.server import serving
from tests.web.dashboard import Dashboard

pytestmark = pytest.mark.browser

DEFECT, DOUBTFUL, FINE = casting(*CLEAR_DEFECT), casting(*DOUBTFUL_DEFECT), casting(*GOOD)
BROKEN = FINE[: len(FINE) // 2]
HOSTILE = "<img src=x onerror=document.title='owned'> **b** [a](javascript:x) :red[x] $x$.png"


@pytest.fixture
def dashboard(chromium, server) -> Iterator[Dashboard]:
    opened = Dashboard(chromium, server.url).open()
    yield opened
    complaints = opened.complaints
    opened.close()
    assert complaints == []


@pytest.fixture
def inspected(dashboard: Dashboard) -> Dashboard:
    """Two good files and a broken one were dropped in together."""
    dashboard.upload(("defect.png", DEFECT), ("broken.png", BROKEN), ("fine.png", FINE))
    dashboard.shows("Reject", reject=1)
    return dashboard


def rows_of(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))


def test_a_broken_file_gives_one_error_and_the_others_their_results(inspected: Dashboard) -> None:
    expect(inspected.page.get_by_test_id("stCameraInput")).to_have_count(0)  # nobody asked for it
    expect(inspected.errors).to_have_count(1)
    for words in ("broken.png", "damaged", "Copy or export the image again"):
        expect(inspected.errors).to_contain_text(words)
    inspected.shows("Reject", accept=1, review=0, reject=1, not_inspected=1)
    inspected.lists({"defect.png": "reject", "broken.png": "not inspected", "fine.png": "accept"})


def test_a_threshold_changes_tile_table_and_card_at_once(inspected: Dashboard) -> None:
    accept, reject = (
        inspected.page.get_by_role("spinbutton", name=name)
        for name in ("Accept below", "Reject from")
    )
    inspected.opened("defect.png")
    inspected.set_threshold("Reject from", "0.999")
    inspected.shows("Review", reject=0, review=1, accept=1)
    inspected.lists({"defect.png": "review", "broken.png": "not inspected", "fine.png": "accept"})
    # The other threshold gives way where they would cross.
    inspected.set_threshold("Accept below", "1")
    expect(reject).to_have_value("1.000")
    inspected.shows("Accept", accept=2, review=0)
    inspected.page.get_by_role("button", name="Back to the policy in force").click()
    inspected.shows("Reject", accept=1, reject=1)
    expect(accept).to_have_value("0.300")


def test_the_slider_moves_a_threshold_by_keyboard_on_a_slow_line(dashboard: Dashboard) -> None:
    """The page hears of each answer only after it has sent its next states."""
    dashboard.page.add_init_script(
        """const listen = WebSocket.prototype.addEventListener;
        WebSocket.prototype.addEventListener = function (type, heard, ...rest) {
            const late = (event) => setTimeout(() => heard(event), 500);
            return listen.call(this, type, type === "message" ? late : heard, ...rest);
        };"""
    )
    dashboard.open()
    dashboard.upload(("doubtful.png", DOUBTFUL))
    dashboard.shows("Review", review=1)
    handle = dashboard.page.get_by_role("slider", name=re.compile("Accept below")).last
    handle.focus()
    for moved in range(1, 9):
        handle.press("ArrowLeft")
        expect(handle).to_have_value(f"{0.7 - 0.005 * moved:.3f}".rstrip("0"))
        dashboard.page.wait_for_timeout(150)
    dashboard.shows("Reject", reject=1)
    expect(handle).to_have_value("0.66")
    expect(dashboard.page.get_by_role("spinbutton", name="Reject from")).to_have_value("0.660")


def test_the_viewer_never_asks_the_server(inspected: Dashboard) -> None:
    page, stage, layer = inspected.page, inspected.stage, inspected.page.locator(".layer")
    expect(stage).to_have_attribute("data-fitted", "true")
    inspected.settle()
    sent = inspected.sent
    fitted = float(stage.get_attribute("data-scale") or 0)
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    expect(stage).to_have_attribute("data-fitted", "false")
    assert float(stage.get_attribute("data-scale") or 0) > 1.3 * fitted
    expect(page.locator(".readout")).to_contain_text(re.compile(r"^x 1\d\d, y 1\d\d px"))

    before = layer.get_attribute("style") or ""
    page.mouse.down()
    page.mouse.move(x + 80, y + 40, steps=3)
    page.mouse.up()
    expect(layer).not_to_have_attribute("style", before)

    page.mouse.dblclick(x, y)
    expect(stage).to_have_attribute("data-fitted", "true")

    page.get_by_label("Heatmap opacity").fill("20")
    page.get_by_label("Plain picture up to").fill("50")
    expect(page.locator("img.heat")).to_have_css("opacity", "0.2")
    expect(page.locator("img.heat")).to_have_attribute("style", re.compile(r"0px 1(49|50)"))

    for key, ratio in (("+", 1.25), ("-", 1.0), ("0", 1.0)):
        stage.press(key)
        near = re.compile(f"^{fitted * ratio:.4f}"[:-2])
        expect(stage).to_have_attribute("data-scale", near)
    before = layer.get_attribute("style") or ""
    stage.press("ArrowLeft")
    expect(layer).not_to_have_attribute("style", before)
    expect(stage).to_have_css("outline-width", "3px")
    assert inspected.sent == sent, "the script ran again"


def test_the_viewer_says_what_its_colours_add_up_to(inspected: Dashboard) -> None:
    legend = inspected.page.locator(".legend")
    expect(legend).to_contain_text("adds to Defective")
    expect(legend).to_contain_text("speaks against Defective")
    expect(legend).to_contain_text("share of the decision")
    expect(legend.locator(".sums")).to_be_hidden()
    legend.get_by_text("How is this computed?").click()
    words = legend.inner_text().replace("−", "-").replace(",", "")
    low, high, mean, bias, logit = map(float, re.findall(r"[+-]\d+(?:\.\d+)?", words))
    assert (low, high) == (-5, 5)
    assert mean + bias == pytest.approx(logit, abs=0.011)
    inspected.choose("Heatmap for", "Good")
    expect(legend).to_contain_text("adds to Good")


def test_downloads_agree_with_the_policy_in_force(inspected: Dashboard, tmp_path: Path) -> None:
    inspected.set_threshold("Reject from", "0.999")
    inspected.shows("Review", review=1)
    rows = rows_of(inspected.download("Results as CSV", tmp_path))
    assert [(r["name"], r["verdict"]) for r in rows] == [
        ("defect.png", "review"), ("fine.png", "accept"), ("broken.png", ""),
    ]  # fmt: skip
    assert (rows[0]["accept_below"], rows[0]["reject_above"]) == ("0.3", "0.999")
    assert "damaged" in rows[2]["error"]
    score = float(rows[0]["defect_score"])
    assert float(rows[0]["probability_def"]) == pytest.approx(score, rel=1e-4)

    found = json.loads(inspected.download("JSON", tmp_path))
    assert found["verdict"] == "review" and found["path"] == "defect.png"
    assert found["policy"].items() >= {"accept_below": 0.3, "reject_above": 0.999}.items()
    assert found["defect_score"] == pytest.approx(score, rel=1e-5)
    assert found["bundle_version"] == rows[0]["bundle_version"]

    picture = Image.open(io.BytesIO(inspected.download("Annotated PNG", tmp_path)))
    # Orange is the colour of review in the caption, red that of reject.
    caption = np.asarray(picture)[720:].reshape(-1, 3)
    assert (caption == (176, 74, 0)).all(1).sum() > 200
    assert (caption == (179, 38, 30)).all(1).sum() == 0


def test_results_and_policy_outlive_a_visit_to_another_page(inspected: Dashboard) -> None:
    inspected.set_threshold("Reject from", "0.999")
    inspected.shows("Review")
    page = inspected.page
    page.get_by_role("link", name="Lines").click()
    main = page.get_by_test_id("stMain")
    # A metric stands with its interval, and one of photographs seen in training is marked.
    for words in ("0.8500 to 0.9500", "leaking", "memory, not skill"):
        expect(main).to_contain_text(words)
    page.get_by_role("link", name="Inspect").click()
    inspected.shows("Review", review=1, accept=1, not_inspected=1)
    inspected.opened("defect.png")
    field = page.get_by_role("spinbutton", name="Reject from")
    expect(field).to_have_value("0.999")


def test_a_line_without_a_good_class_says_that_it_cannot_accept(dashboard: Dashboard) -> None:
    page = dashboard.page
    dashboard.choose("Line", "Hot-rolled steel surface")
    expect(page.get_by_test_id("stSidebar")).to_contain_text("cannot accept a part")
    expect(page.get_by_role("slider")).to_have_count(0)
    page.get_by_role("button", name="Try samples").click()
    dashboard.shows("cannot accept a part", images=6)
    expect(page.locator(".st-key-tile-accept")).to_have_count(0)
    assert {row[2].split()[-1] for row in dashboard.table(6)} <= {"Reject", "Review"}


def test_keys_and_rows_open_images(inspected: Dashboard) -> None:
    page = inspected.page
    page.locator("body").press("n")
    inspected.opened("fine.png")
    page.locator("body").press("p")
    inspected.opened("defect.png")
    inspected.table(3)
    grid = page.get_by_test_id("stDataFrame")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 130, box["y"] + 34 + 2.5 * 40)
    inspected.opened("fine.png")


def test_hostile_and_equal_names_are_only_text(dashboard: Dashboard, tmp_path: Path) -> None:
    dashboard.upload((HOSTILE, DEFECT), (HOSTILE, BROKEN), ("=1+1.png", FINE), ("=1+1.png", DEFECT))
    dashboard.shows("Reject", reject=2, accept=1, not_inspected=1)
    dashboard.opened(HOSTILE)
    expect(dashboard.errors).to_contain_text(HOSTILE.removesuffix(".png") + " (2).png")
    assert dashboard.page.title() != "owned"
    expect(dashboard.page.locator("img[src=x]")).to_have_count(0)
    rows = rows_of(dashboard.download("Results as CSV", tmp_path))
    assert [r["name"] for r in rows][1:3] == ["'=1+1.png", "'=1+1 (2).png"]
    assert [r["verdict"] for r in rows] == ["reject", "accept", "reject", ""]


def test_synthetic_samples_are_marked_everywhere(dashboard: Dashboard, tmp_path: Path) -> None:
    dashboard.page.get_by_role("button", name="Try samples").click()
    expect(dashboard.page.locator(".stage .mark")).to_have_text("Synthetic sample")
    expect(dashboard.page.get_by_text("1 of 6 · Synthetic sample")).to_be_visible()
    assert all("Synthetic sample" in row[-1] for row in dashboard.table(6))
    rows = rows_of(dashboard.download("Results as CSV", tmp_path))
    assert {r["source"] for r in rows} == {"synthetic sample"}
    assert json.loads(dashboard.download("JSON", tmp_path))["synthetic_sample"] is True


def test_another_bundle_inspects_the_same_images(inspected: Dashboard) -> None:
    first = inspected.verdict.inner_text()
    inspected.choose("Model", "efficientnet_lite0")
    expect(inspected.verdict).not_to_have_text(first)
    inspected.lists({"defect.png": "review", "broken.png": "not inspected", "fine.png": "accept"})
    inspected.choose("Model", "resnet50 (default)")
    inspected.lists({"defect.png": "reject", "broken.png": "not inspected", "fine.png": "accept"})


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1024)])
def test_pages_draw_without_complaint(chromium, server, theme: str, width: int) -> None:
    """Both themes, wide and narrow: nothing is fetched from elsewhere, nothing is logged as an
    error, the picture stands left of what is known about it and takes the most room."""
    opened = Dashboard(chromium, server.url, theme, width).open()
    try:
        opened.upload(("defect.png", DEFECT))
        opened.shows("Reject")
        expect(opened.stage).to_have_attribute("data-fitted", "true")
        picture, card = opened.stage.bounding_box(), opened.verdict.bounding_box()
        assert picture is not None and card is not None
        assert picture["x"] + picture["width"] <= card["x"]
        assert picture["width"] > card["width"]
        assert picture["y"] < 100
        shot = np.asarray(Image.open(io.BytesIO(opened.page.screenshot())).convert("L"))
        assert (shot[200:, :20].mean() < 64) == (theme == "dark")
        assert opened.complaints == []
    finally:
        opened.close()


def test_the_first_page_is_usable_soon_and_without_torch(weights, chromium, tmp_path) -> None:
    with serving(weights, tmp_path / "log.txt") as server:
        Dashboard(chromium, server.url).open().close()
        process = Path(f"/proc/{server.pid}")
        if not process.exists():
            pytest.skip("no /proc: the system does not say what a process took")
        # In user and kernel mode, in ticks; counted so that other load does not matter.
        ticks = sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
        assert ticks / os.sysconf("SC_CLK_TCK") < 10
        assert "libtorch" not in (process / "maps").read_text()


def test_a_link_to_a_page_is_the_first_visit_of_a_server(weights, chromium, tmp_path) -> None:
    with serving(weights, tmp_path / "log.txt") as server:
        page = chromium.new_context().new_page()
        page.goto(f"{server.url}/lines")
        links = page.get_by_test_id("stTopNavLink")
        expect(links).to_contain_text(["Inspect", "Dataset", "Lines"])
        expect(page.get_by_text("Provenance").first).to_be_visible()
        page.context.close()
