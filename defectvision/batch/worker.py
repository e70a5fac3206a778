"""The work on batches, apart from every browser tab."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from defectvision.batch.claim import Rivals
from defectvision.batch.runner import work_on
from defectvision.limits import Limits
from defectvision.store.age import Timekeeper
from defectvision.store.batches import ACTIVE, active_batches, get_batch
from defectvision.store.database import Store
from defectvision.store.dropped import remove_dropped
from defectvision.store.retention import expire

log = logging.getLogger(__name__)
IDLE_SECONDS = 0.5
TURN_SECONDS = 5.0  # after which another batch has its turn: a camera must not wait for a lot
RETRY_SECONDS = 5.0
TICK_SECONDS = 60.0
TIDY_SECONDS = 3600.0


def work_forever(
    open_the_store: Callable[[], Store], weights: Path, limits: Limits, stop: Event
) -> None:
    """Work on what is active, one batch after the other, until `stop` is set; begins with what a
    crash left. The store is opened each time, and tried again where it cannot be reached."""
    tidied = ticked = -TIDY_SECONDS
    rivals, timekeeper = Rivals(), Timekeeper()
    while not stop.is_set():
        try:
            store = open_the_store()
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                with store.session() as session:
                    timekeeper.tick(session)
            if time.monotonic() - tidied >= TIDY_SECONDS:
                tidied = time.monotonic()
                with store.session() as session:
                    expire(session)
                remove_dropped(store)
            with store.reading() as session:
                numbers = active_batches(session)
            worked = [
                work_on(store, weights, limits, number, stop, TURN_SECONDS, rivals)
                for number in numbers
            ]
        except Exception:  # a database that is away for a while must not end the work for good
            log.exception("the store did not answer; trying again")
            stop.wait(RETRY_SECONDS)
        else:
            if not any(worked):
                stop.wait(IDLE_SECONDS)


def work_until_ended(store: Store, weights: Path, limits: Limits, number: int, stop: Event) -> None:
    """Return when a batch is not active any more or `stop` is set. Whoever claims it first works
    on it; this worker does where another one is gone. Raises StoreError where it was deleted."""
    rivals = Rivals()
    while not stop.is_set():
        worked = work_on(store, weights, limits, number, stop, rivals=rivals)
        with store.reading() as session:
            if get_batch(session, number).state not in ACTIVE:
                return
        if not worked:
            stop.wait(IDLE_SECONDS)
