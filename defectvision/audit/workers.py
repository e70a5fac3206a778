"""Processes that share work, and never run far ahead of whoever takes the results."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from threading import Thread
from typing import Any, TypeVar

from joblib.externals.loky import ProcessPoolExecutor

T = TypeVar("T")
Call = tuple[Any, ...]
AHEAD = 3  # pieces of work a process that are begun before their turn
LOOK_SECONDS = 0.5
# Threads of BLAS in each of as many processes as there are cores wait for one another: comparing
# pictures took up to twenty times as long with them.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Workers:
    """`count` processes until the block ends; fewer than two do the work in this process.

    joblib's generator does not serve here: it begins the next piece whenever one is done, not when
    a result was taken, so that the features of a large set would pile up before a slow disk.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = self._new_pool() if count > 1 else None

    def _new_pool(self) -> ProcessPoolExecutor:
        # Processes of their own, because the server that calls this has threads, which a fork would
        # copy halfway. Those of multiprocessing run the main module first: a whole page each.
        return ProcessPoolExecutor(
            self._count, env=ONE_THREAD, initializer=end_with, initargs=(os.getpid(),)
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def map(
        self,
        work: Callable[..., T],
        calls: Iterable[Call],
        fatal: Callable[..., T] | None = None,
    ) -> Iterator[T]:
        """`work(*call)` for each call, in their order; raises what it raises.

        Where a process ends at its work (a decoder crashed, memory ran out), the calls that were
        begun are made again one at a time, and `fatal(*call)` answers for one that ends its process
        then, too; without it BrokenProcessPool is raised.
        """
        if self._pool is None:
            yield from (work(*call) for call in calls)
            return
        remaining = iter(calls)
        running: deque[tuple[Call, Future[T]]] = deque()
        try:
            while True:
                for call in islice(remaining, AHEAD * self._count - len(running)):
                    running.append((call, self._begin(work, call)))
                if not running:
                    return
                try:
                    result = running[0][1].result()
                except BrokenProcessPool:
                    self._renew()
                    while running:
                        yield self._alone(work, running.popleft()[0], fatal)
                else:
                    running.popleft()
                    yield result
        finally:
            for _, piece in running:
                piece.cancel()

    def _begin(self, work: Callable[..., T], call: Call) -> Future[T]:
        assert self._pool is not None
        try:
            return self._pool.submit(work, *call)
        except BrokenProcessPool as error:
            broken: Future[T] = Future()
            broken.set_exception(error)
            return broken

    def _alone(self, work: Callable[..., T], call: Call, fatal: Callable[..., T] | None) -> T:
        try:
            return self._begin(work, call).result()
        except BrokenProcessPool:
            self._renew()
            if fatal is None:
                raise
        return fatal(*call)

    def _renew(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()


def end_with(parent: int) -> None:
    """Let this process end when process `parent`, which started it, does. loky's workers would wait
    for more work for ever where their parent was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(0)

    Thread(target=watch, name="parent", daemon=True).start()
