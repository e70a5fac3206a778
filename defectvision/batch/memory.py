"""What a process remembers of batches between its turns at them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Thread

from defectvision.batch.claim import Rivals
from defectvision.batch.watch import Watch

LONGEST_PAUSE = 10.0  # s, between two tries of what is away
FIRST, MOST = 32, 128  # images of a batch that are inspected together: at first, and ever
LEFT_SECONDS = 10.0  # after which a watched folder that another process followed is left


@dataclass
class OfBatch:
    """Of one batch.

    watch: the files of its watched folder. beats: of its claim when this process let go of it;
    others were at it where the row says another number. doing: what is done that may hang, in
    words. together: images that are inspected and written together. later: rows that are not to be
    tried before a moment. stuck: threads that wait for an answer.
    """

    watch: Watch | None = None
    beats: int | None = None
    doing: str = ""
    together: int = field(default_factory=lambda: FIRST)
    later: dict[int, float] = field(default_factory=dict)
    stuck: list[Thread] = field(default_factory=list)
    _others: tuple[int, float] = (-1, 0.0)
    _troubled_since: float | None = None
    _pause: float = 0.0
    _next: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time for another try."""
        return time.monotonic() >= self._next

    def is_followed(self, beats: int) -> bool:
        """Whether this process followed a folder and now another one does, whose claim has counted
        `beats`: by turns, each would have to read again what the other one wrote."""
        if self.watch is None or self.beats in (None, beats):
            return False
        moment = time.monotonic()
        if self._others[0] != beats:
            self._others = beats, moment
        return moment - self._others[1] < LEFT_SECONDS

    def pace(self, wanted: float, taken: float) -> None:
        """Have as many images together as take about `wanted` s, where the last ones took `taken`:
        the cores wait for one another between them, and nobody can stop them meanwhile."""
        aim = round(self.together * wanted / max(taken, 1e-3))
        self.together = min(max(aim, self.together // 2, 1), 2 * self.together, MOST)

    def rest(self, seconds: float) -> None:
        """Have no turn before some time is over."""
        self._next = time.monotonic() + seconds

    def is_troubled(self) -> float:
        """Note that something is away, which is tried again, at longer and longer intervals;
        returns for how many s it has been so."""
        moment = time.monotonic()
        if self._troubled_since is None:
            self._troubled_since = moment
        self._pause = min(2 * self._pause or 0.5, LONGEST_PAUSE)
        self._next = moment + self._pause
        return moment - self._troubled_since

    def is_calm(self) -> None:
        """Note that all is there."""
        self._troubled_since, self._pause = None, 0.0

    def not_yet(self) -> list[int]:
        """The rows whose moment has not come."""
        moment = time.monotonic()
        self.later = {row: at for row, at in self.later.items() if at > moment}
        return list(self.later)

    def count_stuck(self) -> int:
        """How many threads still wait for an answer."""
        self.stuck = [thread for thread in self.stuck if thread.is_alive()]
        return len(self.stuck)


class Memory:
    """Of one process, of all batches."""

    def __init__(self) -> None:
        self.rivals = Rivals()
        self._batches: dict[int, OfBatch] = {}

    def of(self, number: int) -> OfBatch:
        """What is remembered of a batch, nothing at first."""
        return self._batches.setdefault(number, OfBatch())

    def keep_only(self, numbers: list[int]) -> None:
        """Forget the batches that are not worked on any more."""
        self._batches = {n: about for n, about in self._batches.items() if n in numbers}
