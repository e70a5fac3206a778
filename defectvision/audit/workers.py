"""Processes that share work, and never run far ahead of whoever takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor

T = TypeVar("T")
AHEAD = 3  # pieces of work a process that are begun before their turn


class Workers:
    """`count` processes until the block ends; fewer than two do the work in this process.

    joblib's generator does not serve here: it begins the next piece whenever one is done, not when
    a result was taken, so that the features of a large set would pile up before a slow disk.
    """

    def __init__(self, count: int) -> None:
        # Processes of their own, because the server that calls this has threads, which a fork would
        # copy halfway. Those of multiprocessing run the main module first: a whole page each.
        self._pool = ProcessPoolExecutor(count) if count > 1 else None
        self._ahead = AHEAD * count

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(self, work: Callable[..., T], calls: Iterable[tuple[Any, ...]]) -> Iterator[T]:
        """`work(*call)` for each call, in their order; raises what it raises."""
        if self._pool is None:
            yield from (work(*call) for call in calls)
            return
        running: deque[Future[T]] = deque()
        try:
            for call in calls:
                running.append(self._pool.submit(work, *call))
                if len(running) >= self._ahead:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for piece in running:
                piece.cancel()
