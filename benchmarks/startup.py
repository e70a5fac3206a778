"""How long the dashboard takes from the start of its process to its first page.

    python -m benchmarks.startup

Served: the server answers the request for the page. Shown: a headless Chromium, started before,
shows the first page's picture area; it opens the page as soon as the server answers.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TURNS = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    served, shown = [], []
    with sync_playwright() as playwright:
        browser = browser_path and playwright.chromium.launch(executable_path=browser_path)
        for _ in range(TURNS):
            with tempfile.TemporaryDirectory() as store:
                times = _once(browser, store)
            served.append(times[0])
            shown.append(times[1])
    print(f"served {statistics.median(served):.2f} s (of {sorted(round(x, 2) for x in served)})")
    if browser:
        print(f"shown {statistics.median(shown):.2f} s (of {sorted(round(x, 2) for x in shown)})")


def _once(browser, store: str) -> tuple[float, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "defectvision.cli", "serve", f"--port={url.split(':')[-1]}"]
    page = browser.new_page() if browser else None
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "DEFECTVISION_STORE": store},
    )  # fmt: skip
    try:
        while not _answers(url):
            if process.poll() is not None or time.perf_counter() - started > 60:
                raise RuntimeError("the dashboard did not start; `make run` shows why")
            time.sleep(0.02)
        served = time.perf_counter() - started
        if page:
            page.goto(url)
            page.get_by_text("Images or zip files").first.wait_for(timeout=60_000)
            page.close()
        return served, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


if __name__ == "__main__":
    main()
