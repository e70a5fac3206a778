"""The real server with tiny bundles, and a real Chromium that talks to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.counting import CountingRuntime
from tests.stand_ins.server import ROOT, Server, serving
from tests.web.chromium import BROWSERS, FLAGS


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles of casting and one of neu-surface."""
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "casting", "efficientnet_lite0", gain=0.3)
    write_bundle(folder, "neu-surface", "resnet50")
    return folder


@pytest.fixture(scope="session")
def inspector(weights: Path) -> Inspector:
    return Inspector(load_bundle(weights, "casting"), PIXELS)


@pytest.fixture
def counting(inspector: Inspector) -> Inspector:
    """An inspector whose `runtime.seen` counts the images that it was given."""
    return Inspector(inspector.loaded, PIXELS, CountingRuntime(inspector.runtime))


@pytest.fixture(scope="session")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(weights, tmp_path_factory.mktemp("server") / "log.txt") as started:
        yield started


@pytest.fixture(scope="session")
def lot(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one batch of 30 castings, more than a page of its table holds."""
    folder = tmp_path_factory.mktemp("lot")
    images = folder / "Lot 9"
    images.mkdir()
    for name in ("ok", "def"):
        for i in range(100, 115):
            (images / f"{name}_{i}.png").write_bytes(casting(name, i))
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", "batch", str(images), "--line", "casting",
         "--db", "--weights", str(weights)],
        cwd=ROOT,
        env={**os.environ, "DEFECTVISION_STORE": str(folder / "store")},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cache = str(folder / "cache")
    with serving(weights, folder / "log.txt", DEFECTVISION_CACHE=cache) as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    """A running browser; tests are skipped without one, but not where CI=true."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing = f"no browser found: install one of {', '.join(BROWSERS)}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
