"""What a training and whoever started it tell one another by files in the run's folder, and how far
it is, in a terminal's bars too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from defectvision import atomic

PROGRESS_FILE, RESULT_FILE = "progress.json", "result.json"
NAMES_FILE = "names.json"  # what people know images by whose files are named otherwise
WRITE_SECONDS = 0.5


def write_progress(file: Path, words: str, done: int, total: int, left: float | None) -> None:
    """Write how far a step is, see `Tell`."""
    said = {"step": words, "done": done, "total": total, "left_s": left and round(left, 1)}
    atomic.write_text(file, json.dumps(said))


def known_names(run: Path) -> dict[str, str]:
    """What people know images by, by the name of each one's file; none where nobody told."""
    file = run / NAMES_FILE
    if not file.is_file():
        return {}
    names: dict[str, str] = json.loads(file.read_bytes())
    return names


class Tell:
    """Tells of one step after the other, in bars and in `run`/progress.json: `step` in words,
    `done` of `total` (0 where nobody knows), `left_s` seconds left of the step or null."""

    def __init__(self, run: Path, bars: Progress):
        self.file, self.bars = run / PROGRESS_FILE, bars

    @contextmanager
    def step(self, words: str, total: int) -> Iterator[Callable[[], None]]:
        """A step of `total` parts; what it gives is called for each that is done."""
        task = self.bars.add_task(words, total=total or None)
        started = told = time.monotonic()
        done = 0
        write_progress(self.file, words, 0, total, None)

        def advance() -> None:
            nonlocal done, told
            done += 1
            self.bars.advance(task)
            now = time.monotonic()
            if now - told > WRITE_SECONDS:
                told = now
                left = (now - started) / done * max(0, total - done)
                write_progress(self.file, words, done, total, left)

        yield advance
        self.bars.update(task, completed=total or 1, total=total or 1)
