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
        self._write(words, 0, total, None)

        def advance() -> None:
            nonlocal done, told
            done += 1
            self.bars.advance(task)
            now = time.monotonic()
            if now - told > WRITE_SECONDS:
                told = now
                self._write(words, done, total, (now - started) / done * max(0, total - done))

        yield advance
        self.bars.update(task, completed=total or 1, total=total or 1)

    def _write(self, words: str, done: int, total: int, left: float | None) -> None:
        said = {"step": words, "done": done, "total": total, "left_s": left and round(left, 1)}
        atomic.write_text(self.file, json.dumps(said))
