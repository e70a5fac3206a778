"""Whether something is inspected in this process, for whoever should stand aside meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Activity:
    """Counts what is under way; those who listen are called with True when it begins, and with
    False when nothing is under way any more. What they do must take no time and raise nothing."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._count = 0
        self._listeners: list[Callable[[bool], None]] = []

    @contextmanager
    def under_way(self) -> Iterator[None]:
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)

    @contextmanager
    def told_to(self, listener: Callable[[bool], None]) -> Iterator[None]:
        """Call `listener` within the block."""
        with self._lock:
            self._listeners.append(listener)
            if self._count:
                listener(True)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def _change(self, by: int) -> None:
        with self._lock:
            before, self._count = self._count, self._count + by
            if bool(before) != bool(self._count):
                for listener in self._listeners:
                    listener(self._count > 0)


INSPECTIONS = Activity()
