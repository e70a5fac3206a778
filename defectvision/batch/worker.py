"""The work on batches, apart from every browser tab."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from defectvision import logs
from defectvision.batch.crew import CrewOf
from defectvision.batch.holder import new_holder
from defectvision.batch.memory import Memory
from defectvision.batch.runner import work_on
from defectvision.limits import Limits
from defectvision.store.age import Timekeeper
from defectvision.store.batches import ACTIVE, Engine, active_batches, get_batch, say
from defectvision.store.database import Store
from defectvision.store.dropped import remove_dropped
from defectvision.store.retention import expire
from defectvision.store.workers import BEAT_SECONDS, say_gone, say_here

log = logging.getLogger(__name__)
IDLE_SECONDS = 0.5
TURN_SECONDS = 5.0  # after which another batch has its turn: a camera must not wait for a lot
CREW_SECONDS = 60.0  # after which a worker with a crew says that it lives
HUNG_SECONDS = 15.0  # after which others have theirs, though this one has not come back
RETRY_SECONDS = 5.0
TICK_SECONDS = 60.0
TIDY_SECONDS = 3600.0
AWAY_SECONDS = 60.0  # that a command waits for what is away


def work_forever(
    open_the_store: Callable[[], Store],
    weights: Path,
    limits: Limits,
    stop: Event,
    crew_of: CrewOf | None = None,
) -> None:
    """Work on what is active, one batch after the other, until `stop` is set; begins with what a
    crash left. The store is opened each time, and tried again where it cannot be reached.

    crew_of: of a Ray cluster, which works on the batches that are for it, and on no others.
    """
    engine = Engine.LOCAL if crew_of is None else Engine.RAY
    presence, tidiness = _Presence(), _Tidiness()
    turns = _Turns(weights, limits, stop, presence, crew_of)
    while not stop.is_set():
        try:
            store = open_the_store()
            presence.tell(store)
            tidiness.see_to(store)
            with store.reading() as session:
                numbers = active_batches(session, engine)
            worked = turns.take(store, numbers)
        except Exception:  # a database that is away for a while must not end the work for good
            log.exception("the store did not answer; trying again")
            stop.wait(RETRY_SECONDS)
        else:
            if not worked:
                stop.wait(IDLE_SECONDS)
    presence.end()


def work_until_ended(
    store: Store,
    weights: Path,
    limits: Limits,
    number: int,
    stop: Event,
    crew_of: CrewOf | None = None,
) -> None:
    """Return when a batch is not active any more or `stop` is set. Whoever claims it first works
    on it; this worker does where another one is gone. What is away is waited for, for
    AWAY_SECONDS. Raises StoreError where the batch was deleted."""
    memory, away_since = Memory(), math.inf
    while not stop.is_set():
        try:
            what = store, weights, limits, number, stop
            worked = work_on(*what, memory=memory, patience=AWAY_SECONDS, crew_of=crew_of)
            with store.reading() as session:
                if get_batch(session, number).state not in ACTIVE:
                    return
            away_since = math.inf
        except (OperationalError, InterfaceError):
            away_since, worked = min(away_since, time.monotonic()), False
            if time.monotonic() - away_since > AWAY_SECONDS:
                raise
            log.warning("the database did not answer; trying again", exc_info=True)
        if not worked:
            stop.wait(IDLE_SECONDS)


class _Presence:
    """A worker's word that it lives, told by its own thread: one that is stuck does not."""

    def __init__(self) -> None:
        self._name, self._told = new_holder(), -math.inf
        self._store: Store | None = None

    def tell(self, store: Store) -> None:
        if time.monotonic() - self._told >= BEAT_SECONDS:
            with store.session() as session:
                say_here(session, self._name)
            self._store, self._told = store, time.monotonic()

    def end(self) -> None:
        if self._store is not None:
            try:
                with self._store.session() as session:
                    say_gone(session, self._name)
            except SQLAlchemyError:  # it falls silent, which says the same
                log.warning("the store did not answer", exc_info=True)


class _Tidiness:
    """What is done to a store every now and then. Its troubles keep nobody from working."""

    def __init__(self) -> None:
        self._timekeeper = Timekeeper()
        self._ticked = self._tidied = -math.inf
        self._tidying: Thread | None = None

    def see_to(self, store: Store) -> None:
        moment = time.monotonic()
        if moment - self._ticked >= TICK_SECONDS:
            self._ticked = moment
            with store.session() as session:
                self._timekeeper.tick(session)
        busy = self._tidying is not None and self._tidying.is_alive()
        if moment - self._tidied >= TIDY_SECONDS and not busy:
            self._tidied = moment
            self._tidying = Thread(target=_tidy, args=(store,), name="tidy", daemon=True)
            self._tidying.start()


def _tidy(store: Store) -> None:
    try:
        with store.session() as session:
            expire(session)
        remove_dropped(store)
    except Exception:
        log.exception("the store could not be tidied; it is tried again in an hour")


@dataclass
class _Turn:
    """One turn at a batch, in a thread of its own: what hangs there hangs alone."""

    thread: Thread | None = None
    worked: list[bool] = field(default_factory=list)
    told: bool = False


class _Turns:
    """The turns of all batches: one after the other, but that none waits for one that hangs."""

    def __init__(
        self,
        weights: Path,
        limits: Limits,
        stop: Event,
        presence: _Presence,
        crew_of: CrewOf | None,
    ) -> None:
        self.weights, self.limits, self.stop = weights, limits, stop
        self.presence, self.crew_of = presence, crew_of
        self.memory = Memory()
        self._hung: dict[int, _Turn] = {}

    def take(self, store: Store, numbers: list[int]) -> bool:
        """A turn for each batch; returns whether anything was done."""
        self.memory.keep_only([*numbers, *self._hung])
        if self.crew_of is not None:
            return any(self._with_crew(store, number) for number in numbers)
        worked = []
        for number in numbers:
            self.presence.tell(store)
            worked.append(self._take(store, number))
        return any(worked)

    def _with_crew(self, store: Store, number: int) -> bool:
        """A turn of one batch, which goes on until that has ended: the others wait."""
        self.presence.tell(store)
        what = store, self.weights, self.limits, number, self.stop, CREW_SECONDS
        with logs.about(batch=number):
            return work_on(*what, self.memory, crew_of=self.crew_of)

    def _take(self, store: Store, number: int) -> bool:
        turn = self._hung.pop(number, None) or _Turn()
        if turn.thread is None:
            turn.thread = Thread(
                target=self._work, args=(store, number, turn), name=f"batch-{number}", daemon=True
            )
            turn.thread.start()
            turn.thread.join(HUNG_SECONDS)
        if turn.thread.is_alive():
            self._hung[number] = turn
            if not turn.told:
                self._tell(store, number)
                turn.told = True
            return False
        return any(turn.worked)

    def _work(self, store: Store, number: int, turn: _Turn) -> None:
        with logs.about(batch=number):
            try:
                what = store, self.weights, self.limits, number, self.stop, TURN_SECONDS
                turn.worked.append(work_on(*what, self.memory))
            except Exception:  # its own; others go on
                log.exception("batch %d: trying again", number)
                self.memory.of(number).rest(RETRY_SECONDS)

    def _tell(self, store: Store, number: int) -> None:
        """Say what a batch waits for; it takes that back itself when it goes on."""
        doing = self.memory.of(number).doing
        if not doing:
            return
        message = f"{doing} takes longer than {HUNG_SECONDS:.0f} s. It is waited for"
        with logs.about(batch=number):
            log.warning("batch %d: %s. The other batches go on", number, message)
        with store.session() as session:
            say(session, number, message)
