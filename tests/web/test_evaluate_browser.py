"""From labelled images to a policy that everyone follows, in the browser."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import DOUBTFUL_DEFECT, GOOD, casting
from tests.stand_ins.server import ROOT, serving
from tests.web.dashboard import Dashboard

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "secret-of-mes"
CLEAR = (101, 103, 104, 105, 106, 109, 110)  # seeds of which both kinds are told with ease
ESCAPED = "a_good_one.png"  # a good part that is labelled defective, so that one escapes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Labelled castings, one of which is sure to escape."""
    folder = tmp_path / "source" / "castings"
    for label in ("ok", "def"):
        (folder / label).mkdir(parents=True)
        for seed in CLEAR:
            (folder / label / f"{label}_{seed}.png").write_bytes(casting(label, seed))
    (folder / "def" / ESCAPED).write_bytes(casting(*GOOD))
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    return tmp_path / "weights"


@pytest.fixture
def board(chromium, weights: Path, images: Path, tmp_path: Path) -> Iterator[Dashboard]:
    with serving(
        weights,
        tmp_path / "log.txt",
        DEFECTVISION_CACHE=str(tmp_path / "cache"),
        DEFECTVISION_SOURCE_ROOTS=json.dumps([str(images.parent)]),
        DEFECTVISION_API_TOKENS=json.dumps({"mes": TOKEN}),
    ) as server:
        board = Dashboard(chromium, server.url)
        yield board
        board.close()


def command(weights: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "defectvision.cli", *words, "--weights", str(weights)],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "DEFECTVISION_STORE": str(weights.parent / "store")},
    )  # fmt: skip


def over_the_api(url: str, image: bytes) -> str:
    """The verdict that a program gets."""
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="line"\r\n\r\ncasting\r\n',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--x--\r\n",
    ]
    request = urllib.request.Request(
        f"{url}/api/v1/inspect",
        b"".join(parts),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["verdict"]


def fill(board: Dashboard, label: str, text: str, role: str = "textbox") -> None:
    field = board.page.get_by_role(role, name=label)
    field.fill(text)
    field.press("Enter")
    board.settle()


def thresholds(board: Dashboard) -> list[Locator]:
    names = ("Accept below", "Reject from")
    return [board.page.get_by_role("spinbutton", name=name) for name in names]


def _verdict(score: float, low: float, high: float) -> str:
    return "accept" if score < low else "reject" if score >= high else "review"


def test_a_policy_chosen_by_cost_is_in_force_everywhere(
    board: Dashboard, weights: Path, images: Path, tmp_path: Path
) -> None:
    command(weights, "batch", str(images / "def"), "--line", "casting", "--db")
    page = board.visit("evaluate").page
    expect(page.get_by_text("Nothing was evaluated yet")).to_be_visible()
    fill(board, "Your name", "anna")
    board.choose("Labelled set", "Another folder or file")
    fill(board, "Folder, index.csv", str(images))
    page.get_by_role("button", name="Evaluate", exact=True).click()
    expect(page.get_by_text("15 images of")).to_be_visible(timeout=60_000)
    board.settle()

    page.get_by_role("button", name="1 escape").click()
    expect(page.get_by_text("Escapes: defective parts")).to_be_visible()
    board.opened(f"def/{ESCAPED}")
    expect(page.get_by_role("img", name=f"Picture of def/{ESCAPED}")).to_be_visible()
    expect(page.locator("img.heat")).to_have_attribute("src", re.compile("^data:image/png"))
    expect(page.locator(".st-key-verdict")).to_contain_text("Accept")

    page.get_by_text("Operating point", exact=True).click()
    board.settle()
    low, high = thresholds(board)
    expect(low).to_have_value("0.300")
    fill(board, "An escape costs", "5000", "spinbutton")
    expect(page.get_by_text("cost least on these images")).to_be_visible()
    page.get_by_role("button", name="Take these thresholds").click()
    board.settle()
    expect(low).not_to_have_value("0.300")
    chosen = low.input_value(), high.input_value()
    expect(page.get_by_text("What-if, not in force")).to_be_visible()
    expect(page.get_by_role("button", name="1 escape")).to_have_count(0)  # it follows at once
    page.get_by_role("button", name="Put in force").click()
    reason = page.get_by_role("textbox", name="Reason")
    expect(reason).to_have_value(re.compile("least cost: escape 5000.*evaluation 1"))
    page.get_by_role("button", name="Save as the policy in force").click()
    expect(page.get_by_text("Policy 1 is in force for everyone")).to_be_visible()
    board.settle()

    for where in ("", "results"):
        board.visit(where)
        for field, value in zip(thresholds(board), chosen, strict=True):
            expect(field).to_have_value(value)
    doubtful = casting(*DOUBTFUL_DEFECT)
    (tmp_path / "doubtful.png").write_bytes(doubtful)
    done = command(
        weights, "inspect", str(tmp_path / "doubtful.png"), "--line", "casting", "--json"
    )
    said = json.loads(done.stdout)
    assert "policy 1 of anna" in done.stderr
    score = said["defect_score"]
    expected = _verdict(score, *map(float, chosen))
    assert said["verdict"] == expected == over_the_api(board.url, doubtful)

    board.visit("evaluate")
    expect(page.get_by_text("1 evaluation, the newest first")).to_be_visible()
    board.open_row(0)
    expect(page.get_by_text("15 images of")).to_be_visible()  # at once
