"""How long the dashboard takes from the start of its process to its first page.

    python -m benchmarks.startup

Served: the server answers the request for the page. Shown: a headless Chromium, started before,
shows the first page's picture area; it opens the page as soon as the server answers.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from defectvision.settings import Settings
from tests.stand_ins.server import serving
from tests.web.chromium import BROWSERS, FLAGS

TURNS = 5


def main() -> None:
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    served, shown = [], []
    with sync_playwright() as playwright:
        browser = path and playwright.chromium.launch(executable_path=path, args=FLAGS)
        for _ in range(TURNS):
            with tempfile.TemporaryDirectory() as store:
                times = _once(browser, store)
            served.append(times[0])
            shown.append(times[1])
    print(f"served {statistics.median(served):.2f} s (of {sorted(round(x, 2) for x in served)})")
    if browser:
        print(f"shown {statistics.median(shown):.2f} s (of {sorted(round(x, 2) for x in shown)})")


def _once(browser, store: str) -> tuple[float, float | None]:
    page = browser.new_page() if browser else None
    started = time.perf_counter()
    with serving(Settings().weights, Path(store) / "log.txt") as server:
        urllib.request.urlopen(server.url).close()
        served = time.perf_counter() - started
        if page is None:
            return served, None
        page.goto(server.url)
        page.get_by_text("Images or zip files").first.wait_for(timeout=60_000)
        shown = time.perf_counter() - started
        page.close()
        return served, shown


if __name__ == "__main__":
    main()
