"""A thread that was given up ends with its work, and is not taken for one that hangs."""

from __future__ import annotations

import time
from queue import Empty

import pytest

from defectvision.batch import deadline
from defectvision.batch.deadline import TooSlowError, within


def test_a_thread_that_was_given_up_ends_with_its_work() -> None:
    with pytest.raises(TooSlowError) as caught:
        within(0.02, lambda: time.sleep(0.2))
    assert caught.value.thread.is_alive()
    caught.value.thread.join(10)
    assert not caught.value.thread.is_alive()
    assert within(10, lambda: 7) == 7


def test_one_that_ended_in_the_moment_it_was_given_up_ends_too(monkeypatch) -> None:
    within(10, lambda: None)
    worker = deadline._idle[-1]
    answer = worker.ended.get

    class Late:
        put = worker.ended.put

        def get(self, timeout: float) -> object:
            answer(timeout=10)
            time.sleep(0.1)  # in which it waits for more work
            raise Empty

    monkeypatch.setattr(worker, "ended", Late())
    with pytest.raises(TooSlowError) as caught:
        within(10, lambda: None)
    caught.value.thread.join(10)
    assert caught.value.thread is worker and not worker.is_alive()


def test_a_thread_is_used_again_and_an_error_is_raised_where_it_is_waited_for() -> None:
    within(10, lambda: None)
    before = len(deadline._idle)
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)
    assert len(deadline._idle) == before
