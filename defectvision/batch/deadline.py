"""Work that must not take for ever: a read of a share that hangs, an image that has no end."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from defectvision.logs import carrying

T = TypeVar("T")


class TooSlowError(TimeoutError):
    """Work that had not ended in time; `thread` is still at it, as nothing can end it."""

    def __init__(self, seconds: float, thread: Thread) -> None:
        super().__init__(f"no answer within {seconds:.0f} s")
        self.thread = thread


class _Worker(Thread):
    """Does one work after the other; ends with the one that was given up."""

    def __init__(self) -> None:
        super().__init__(name="deadline", daemon=True)
        self.given: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self.ended: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.given_up = False
        self.start()

    def run(self) -> None:
        while not self.given_up:
            self._do(self.given.get())

    def _do(self, work: Callable[[], Any]) -> None:
        try:
            self.ended.put((work(), None))
        except BaseException as error:  # raised where it is waited for
            self.ended.put((None, error))


# Threads without work: starting one costs more than reading a small file. A forked process has none
# of them.
_idle: deque[_Worker] = deque()
os.register_at_fork(after_in_child=_idle.clear)


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; raises TooSlowError where it takes longer than `seconds`."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.given.put(carrying(work))
    try:
        found, error = worker.ended.get(timeout=seconds)
    except Empty:
        worker.given_up = True
        worker.given.put(int)  # it may have ended just now, and wait for more: nobody gives any
        raise TooSlowError(seconds, worker) from None
    _idle.append(worker)
    if error is not None:
        raise error
    return found
