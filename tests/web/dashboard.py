"""The dashboard as a test uses it: one browser page, in the words of the people who use it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, WebSocket

expect.set_options(timeout=30_000)

# Longer than any widget waits before it tells the server what was entered.
QUIET_SECONDS = 0.5

# What only says that work goes on is not drawn sixty times a second, which takes half a core.
STILL = """
document.addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = `*, *::before, *::after {
        animation-duration: 1ms !important; animation-iteration-count: 1 !important }`;
    document.head.append(style);
});
"""


class Dashboard:
    """One tab. Console errors and failed requests are collected in `complaints`, messages of the
    page to the server are counted in `sent`: any rerun of the script begins with one.

    The context of the last one that was closed is taken again, emptied, for the same server: it
    keeps the page's scripts compiled, which otherwise takes longer than what most tests do. Who
    opens a second one beside the first gets another."""

    _left: ClassVar[tuple[str, BrowserContext] | None] = None

    def __init__(self, browser: Browser, url: str, theme: str = "light", width: int = 1440):
        self.context, self.url = self._context(browser, url), url
        self.page: Page = self.context.new_page()
        self.page.set_viewport_size({"width": width, "height": 900 if width > 1200 else 768})
        self.page.emulate_media(color_scheme=theme)
        self.complaints: list[str] = []
        self.sent = 0
        self.moved = time.monotonic()  # when the last message went either way
        self.page.on(
            "console", lambda m: self.complaints.append(m.text) if m.type == "error" else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(request.url))
        self.page.on("websocket", self._listen)

    @classmethod
    def _context(cls, browser: Browser, url: str) -> BrowserContext:
        left, cls._left = cls._left, None
        if left is not None and left[0] == url and left[1].browser is browser:
            return left[1]
        if left is not None:
            left[1].close()
        context = browser.new_context(accept_downloads=True)
        context.add_init_script(STILL)
        return context

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", self._count)
        socket.on("framereceived", self._heard)

    def _count(self, _frame: object) -> None:
        self.sent += 1
        self.moved = time.monotonic()

    def _heard(self, _frame: object) -> None:
        self.moved = time.monotonic()

    def open(self) -> Dashboard:
        self.page.goto(self.url)
        self.page.get_by_text("Images or zip files").first.wait_for(timeout=30_000)
        self.settle()
        return self

    def visit(self, page: str) -> Dashboard:
        """Open a page by its address."""
        self.page.goto(f"{self.url}/{page}")
        self.page.get_by_test_id("stMainBlockContainer").wait_for()
        self.settle()
        return self

    def open_row(self, place: int) -> None:
        """Click into a row of the first table, counted from 0."""
        box = self.page.locator("[data-testid=stDataFrame] canvas").first.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + 110, box["y"] + 36 + 40 * (place + 0.5))
        self.settle()

    def close(self) -> None:
        """End it, with all that the browser keeps of whoever was here."""
        if Dashboard._left is not None or self.page.is_closed():
            self.context.close()
            return
        self.page.evaluate("localStorage.clear()")
        for page in self.context.pages:
            page.close()
        self.context.clear_cookies()
        Dashboard._left = self.url, self.context

    def settle(self) -> None:
        """Wait until the script has run, the page has drawn it, and neither side says more."""
        self.page.locator(".st-key-keys style").wait_for(state="attached")
        deadline = time.monotonic() + 60
        self.moved = time.monotonic()
        while True:
            self.page.wait_for_timeout(50)  # in which Playwright tells of messages
            running = self.page.evaluate(
                "document.querySelector('[data-testid=stApp]').dataset.testScriptState"
            )
            if running != "running" and time.monotonic() - self.moved > QUIET_SECONDS:
                return
            assert time.monotonic() < deadline, "the page does not come to rest"

    def glided(self) -> None:
        """Wait until the picture has glided to where it was sent.

        The viewer moves it in the next animation frame, so a move has begun in the one after that.
        """
        self.page.locator(".layer").evaluate(
            """async (layer) => {
                const frame = () => new Promise(requestAnimationFrame);
                await frame();
                await frame();
                await Promise.all(layer.getAnimations().map((move) => move.finished));
            }"""
        )

    def upload(self, *files: tuple[str, bytes]) -> None:
        payload = [{"name": n, "mimeType": "image/png", "buffer": data} for n, data in files]
        self.page.locator("input[type=file]").first.set_input_files(payload)
        self.verdict.first.or_(self.errors.first).first.wait_for(timeout=60_000)
        self.settle()

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_role("combobox", name=re.compile(label)).click()
        self.page.get_by_role("option", name=option, exact=True).click()
        self.settle()

    @property
    def verdict(self) -> Locator:
        return self.page.locator(".st-key-verdict")

    @property
    def errors(self) -> Locator:
        return self.page.locator(".st-key-errors [data-testid=stAlert]")

    @property
    def stage(self) -> Locator:
        return self.page.locator(".stage")

    def shows(self, verdict: str, **tiles: int) -> None:
        """Wait until card and tiles say this; a page under load takes its time."""
        expect(self.verdict).to_contain_text(verdict)
        for word, count in tiles.items():
            tile = self.page.locator(f".st-key-tile-{word.replace('_', '-')}")
            expect(tile.get_by_test_id("stMetricValue")).to_have_text(str(count))

    def table(self, rows: int) -> list[list[str]]:
        """Cells of the results table, as a screen reader gets them, once it has `rows` rows."""
        body = self.page.locator("[data-testid=stDataFrame] table tbody tr")
        expect(body).to_have_count(rows)
        return [row.locator("td").all_inner_texts() for row in body.all()]

    def lists(self, expected: dict[str, str]) -> None:
        """Wait until the table gives these verdict words to these names."""
        found: dict[str, str] = {}
        for _ in range(100):
            rows = self.table(len(expected))
            found = {row[1]: row[2].split(maxsplit=1)[-1].lower() for row in rows}
            if found == expected:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the table says {found}, not {expected}")

    def opened(self, name: str) -> None:
        expect(self.page.locator(".dv-name")).to_have_text(name)

    def set_threshold(self, label: str, value: str) -> None:
        field = self.page.get_by_role("spinbutton", name=label)
        field.fill(value)
        field.press("Enter")
        self.settle()

    def download(self, button: str, folder: Path) -> bytes:
        """What the entry `button` of the export menu gives."""
        entry = self.page.locator(f".st-key-export-{button.replace(' ', '-')} button")
        self.page.get_by_role("button", name="Export").click()
        with self.page.expect_download() as started:
            entry.click()
        file = folder / started.value.suggested_filename
        self.page.keyboard.press("Escape")
        expect(entry).to_have_count(0)
        started.value.save_as(file)
        return file.read_bytes()
