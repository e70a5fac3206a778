"""How far a study has come, and how long it still takes: from what was measured, or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean


class Step(StrEnum):
    """The steps of a study in their order, in words."""

    WAIT = "Waiting for another process that measures this set"
    CHECK = "Checking the files"
    READ = "Reading the pictures"
    DESCRIBE = "Describing the pictures"
    MAP = "Drawing the map"
    COMPARE = "Comparing the pictures"
    KNOWN = "Looking for copies of what a bundle learned"  # of an evaluation


# The part of the bar that a step fills, about as long as it takes: of 1,072 magnetic tiles and of
# 1,543 steel patches, on two cores.
SHARES = {
    Step.CHECK: 0.06, Step.READ: 0.62, Step.DESCRIBE: 0.05, Step.MAP: 0.04, Step.COMPARE: 0.23,
}  # fmt: skip
# What a step takes per picture, in comparisons of two pictures; on the same sets.
PAIRS = {Step.DESCRIBE: 2.5, Step.MAP: 1.8, Step.COMPARE: 16.0}
LEAST_SECONDS = 5.0  # of a step, before its rate says anything

Clock = Callable[[], float]


@dataclass(frozen=True)
class Progress:
    """`done` of `total` pictures in a step, every step having the same total; `share` (0 to 1) of
    the whole work; `left`: seconds until everything is found, None while nobody can tell."""

    step: Step
    done: int
    total: int
    share: float
    left: float | None = None


Tell = Callable[[Progress], None]


class Forecast:
    """Tells the progress of a study of `pictures` pictures by `workers` processes."""

    def __init__(
        self, pictures: int, workers: int, tell: Tell, clock: Clock = time.monotonic
    ) -> None:
        self.pictures, self.workers = pictures, max(1, workers)
        self._tell, self._clock = tell, clock
        self._step, self._done = Step.CHECK, 0
        self._since: tuple[float, int] | None = None  # when the first work of the step was done
        self._began = clock()
        self._pairs: list[float] = []

    def begin(self, step: Step, done: int = 0) -> None:
        """A step begins, in which `done` pictures need no work."""
        self._step, self._done, self._since = step, done, None
        self._began = self._clock()
        self._report()

    def advance(self, done: float) -> None:
        """So many pictures are done in the step that runs."""
        self._done = max(self._done, min(self.pictures, int(done)))
        if self._since is None:  # what came before was the start of the processes
            self._since = self._clock(), self._done
        self._report()

    def restart(self) -> None:
        """What is done of the step so far took no work, and says nothing of its rate."""
        self._since = None

    def pair_took(self, seconds: float) -> None:
        """Comparing two pictures took so long in a process."""
        self._pairs.append(seconds)

    def _report(self) -> None:
        order = list(SHARES)
        before = sum(SHARES[s] for s in order[: order.index(self._step)]) if self._known else 0.0
        part = SHARES.get(self._step, 0.0) * self._done / max(1, self.pictures)
        self._tell(
            Progress(self._step, self._done, self.pictures, min(1.0, before + part), self._left())
        )

    @property
    def _known(self) -> bool:
        return self._step in SHARES

    def _left(self) -> float | None:
        if not self._known:
            return None
        order = list(SHARES)
        parts = [self._rest_of_step(), *map(self._expected, order[order.index(self._step) + 1 :])]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None

    def _rest_of_step(self) -> float | None:
        now, remaining = self._clock(), self.pictures - self._done
        if self._since is not None:
            since, done = self._since
            if now - since >= LEAST_SECONDS and self._done > done:
                return (now - since) / (self._done - done) * remaining
        whole = self._expected(self._step)
        return None if whole is None else whole * remaining / max(1, self.pictures)

    def _expected(self, step: Step) -> float | None:
        """What a step that has not begun takes; None where that is not known."""
        if step not in PAIRS or not self._pairs:
            return None
        shared = self.workers if step == Step.COMPARE else 1
        # Of a few pictures there are fewer pairs than neighbours that are looked at.
        pairs = min(PAIRS[step], self.pictures / 2)
        return mean(self._pairs) * pairs * self.pictures / shared
