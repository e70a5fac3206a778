"""The Dataset page in a real browser: open a set, click a bar, see masks, download the split."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import cv2
import numpy as np
import pytest

from defectvision.audit.study import FEW
from defectvision.data.synthetic.samples import draw
from tests.stand_ins.server import serving

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def labelled_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 good and 6 defective drawings with masks, enough that processes of their own read them;
    one good one also stands, turned, in test."""
    root = tmp_path_factory.mktemp("set")
    rows = ["path,label,mask,split"]
    for i in range(FEW):
        label = "def" if i >= 18 else "ok"
        image = draw("casting", label, np.random.default_rng(i), 200)
        if i == 7:
            first = draw("casting", "ok", np.random.default_rng(0), 200)
            image = np.rot90(first).copy()
        cv2.imwrite(str(root / f"{i}.png"), image)
        mask = np.zeros((200, 200), np.uint8)
        if label == "def":
            mask[90:110, 40:80] = 255
            cv2.imwrite(str(root / f"mask {i}.png"), mask)
        split = "test" if i in (6, 7, 20, 21) else "train"
        rows.append(f"{i}.png,{label},{f'mask {i}.png' if label == 'def' else ''},{split}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def dataset_url(
    labelled_set: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dataset-server")
    with serving(
        weights,
        folder / "log.txt",
        DEFECTVISION_CACHE=str(folder / "cache"),
        DEFECTVISION_DATA_SETS=json.dumps({"drawn": str(labelled_set)}),
    ) as started:
        yield f"{started.url}/dataset"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_open_click_see_and_download(chromium, dataset_url, theme, tmp_path) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=90_000)
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme=theme, accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(90_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(dataset_url)
    expect(page.get_by_text("Choose a labelled set on the left")).to_be_visible()
    page.get_by_test_id("stBaseButton-primary").click()
    expect(page.get_by_text(f"{FEW} images", exact=True)).to_be_visible(timeout=300_000)

    # the bar of `def` is the shorter one, the lower of two
    bars = page.locator(".js-plotly-plot").first.locator(".barlayer .point path")
    expect(bars).to_have_count(2)
    boxes = [bar.bounding_box() for bar in bars.all()]
    lower = max(boxes, key=lambda box: box["y"])
    page.mouse.click(lower["x"] + lower["width"] / 3, lower["y"] + lower["height"] / 2)
    expect(page.get_by_text("6 images", exact=True)).to_be_visible()
    pictures = page.locator("[data-testid=stImage] img")
    expect(pictures).to_have_count(6)
    expect(pictures.first).to_be_visible()
    page.wait_for_function("[...document.querySelectorAll('[data-testid=stImage] img')]"
                           ".every(i => i.naturalWidth > 0)")  # fmt: skip
    # the drawings are grey: any colour comes from a mask
    source = urljoin(dataset_url, pictures.first.get_attribute("src"))
    data = page.request.get(source).body()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)
    assert (np.ptp(image, axis=2) > 30).sum() > 100

    page.get_by_text("Near-copies", exact=True).click()
    expect(page.get_by_text("1 group stands in several splits")).to_be_visible()
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
