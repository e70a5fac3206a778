"""The Dataset page in a real browser: open a set, click a bar, see masks, download the split."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.data.synthetic import draw

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run"]
APP = """
import streamlit as st
st.set_page_config(layout="wide", initial_sidebar_state=290)
st.navigation([st.Page({page!r}, title="Dataset")], position="top").run()
"""


@pytest.fixture(scope="module")
def labelled_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 good and 4 defective drawings with masks; one good one also stands, turned, in test."""
    root = tmp_path_factory.mktemp("set")
    rows = ["path,label,mask,split"]
    for i in range(12):
        label = "def" if i >= 8 else "ok"
        image = draw("casting", label, np.random.default_rng(i), 200)
        if i == 7:
            first = draw("casting", "ok", np.random.default_rng(0), 200)
            image = np.rot90(first).copy()
        cv2.imwrite(str(root / f"{i}.png"), image)
        mask = np.zeros((200, 200), np.uint8)
        if label == "def":
            mask[90:110, 40:80] = 255
            cv2.imwrite(str(root / f"mask {i}.png"), mask)
        split = "test" if i in (6, 7, 10, 11) else "train"
        rows.append(f"{i}.png,{label},{f'mask {i}.png' if label == 'def' else ''},{split}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def dataset_url(labelled_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dataset-server")
    script = folder / "app_dataset.py"
    script.write_text(APP.format(page=str(ROOT / "pages" / "dataset.py")))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DEFECTVISION_CACHE": str(folder / "cache"),
        "DEFECTVISION_DATA_SETS": json.dumps({"drawn": str(labelled_set)}),
    }
    log = folder / "log.txt"
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{port}"
    started = time.monotonic()
    try:
        while not _answers(f"{url}/_stcore/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - started < 120, log.read_text()
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def dataset_browser() -> Iterator:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no browser found")
        pytest.skip("no browser found: install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_open_click_see_and_download(dataset_browser, dataset_url, theme, tmp_path) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=90_000)
    context = dataset_browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme=theme, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(dataset_url)
    expect(page.get_by_text("Give the folder of a labelled set")).to_be_visible()
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text("12 images", exact=True)).to_be_visible()

    # the bar of `def` is the shorter one, the lower of two
    bars = page.locator(".js-plotly-plot").first.locator(".barlayer .point path")
    expect(bars).to_have_count(2)
    boxes = [bar.bounding_box() for bar in bars.all()]
    lower = max(boxes, key=lambda box: box["y"])
    page.mouse.click(lower["x"] + lower["width"] / 3, lower["y"] + lower["height"] / 2)
    expect(page.get_by_text("4 images", exact=True)).to_be_visible()
    pictures = page.locator("[data-testid=stImage] img")
    expect(pictures).to_have_count(4)
    expect(pictures.first).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('[data-testid=stImage] img')]"
                           ".every(i => i.naturalWidth > 0)")  # fmt: skip
    # the drawings are grey: any colour comes from a mask
    data = page.request.get(dataset_url.rstrip("/") + pictures.first.get_attribute("src")
                            if pictures.first.get_attribute("src").startswith("/")
                            else pictures.first.get_attribute("src")).body()  # fmt: skip
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert (np.ptp(image, axis=2) > 30).sum() > 100

    page.get_by_text("Near-copies", exact=True).click()
    expect(page.get_by_text("1 groups stand in several splits")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_role("button", name="Corrected split").click()
    file = tmp_path / "index.csv"
    started.value.save_as(file)
    import pandas as pd

    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    groups = table.set_index("path")["photo_group"]
    assert groups["0.png"] == groups["7.png"]
    assert table.groupby("photo_group")["split"].nunique().max() == 1
    assert complaints == []
    context.close()
