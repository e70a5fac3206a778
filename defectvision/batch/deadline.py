"""Work that must not take for ever: a read of a share that hangs, an image that has no end."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

from defectvision.logs import carrying

T = TypeVar("T")


class TooSlowError(TimeoutError):
    """Work that had not ended in time; `thread` is still at it, as nothing can end it."""

    def __init__(self, seconds: float, thread: Thread) -> None:
        super().__init__(f"no answer within {seconds:.0f} s")
        self.thread = thread


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises; raises TooSlowError where it takes longer than `seconds`."""
    ended: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            ended.put((work(), None))
        except BaseException as error:  # raised where it is waited for
            ended.put((None, error))

    thread = Thread(target=carrying(run), name="deadline", daemon=True)
    thread.start()
    try:
        found, error = ended.get(timeout=seconds)
    except Empty:
        raise TooSlowError(seconds, thread) from None
    if error is not None:
        raise error
    return found  # type: ignore[return-value]
