"""How far a training is, for whoever started it: bars in a terminal, a file for another process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.progress import Progress

from defectvision import atomic

PROGRESS_FILE, RESULT_FILE = "progress.json", "result.json"  # in the run's folder
WRITE_SECONDS = 0.5


def write_progress(file: Path, words: str, done: int, total: int, left: float | None) -> None:
    """Write how far a step is, see `Tell`."""
    said = {"step": words, "done": done, "total": total, "left_s": left and round(left, 1)}
    atomic.write_text(file, json.dumps(said))


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
