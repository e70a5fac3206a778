"""A claim on a batch as its holder keeps it, and as others watch it; see store/claims.py."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from defectvision.batch.holder import has_ended, new_holder
from defectvision.logs import carrying
from defectvision.store import claims
from defectvision.store.claims import Beat
from defectvision.store.database import Store
from defectvision.store.errors import ClaimLostError

log = logging.getLogger(__name__)
BEAT_SECONDS = 2.0
# A holder whose count stood still for so long is gone. Many beats, as a busy machine or a database
# that is away for a moment must not cost a claim.
SILENT_SECONDS = 20.0


class Rivals:
    """What one process saw of the claims of others, timed by its own clock."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Beat, float]] = {}

    def is_gone(self, number: int, last: Beat) -> bool:
        """Whether the holder of a batch has ended, or did not beat for SILENT_SECONDS."""
        if has_ended(last.holder):
            return True
        seen, since = self._seen.get(number, (None, 0.0))
        if seen != last:
            since = time.monotonic()
            self._seen[number] = last, since
        return time.monotonic() - since >= SILENT_SECONDS

    def forget(self, number: int) -> None:
        """Of a batch that is this process's own now, or nobody's."""
        self._seen.pop(number, None)


class Claim:
    """A batch that this worker holds. `lost` is set when it is found that it does no longer."""

    def __init__(self, store: Store, number: int, holder: str) -> None:
        self.store, self.number, self.holder = store, number, holder
        self.lost = Event()
        self._ended = Event()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction that only the holder can commit; raises ClaimLostError."""
        try:
            with self.store.session() as session:
                claims.beat(session, self.number, self.holder)
                yield session
        except ClaimLostError:
            self.lost.set()
            raise

    def keep_beating(self) -> None:
        """Beat until the claim is released or lost. A thread of its own does it, so that slow
        images do not cost the claim."""
        while not self._ended.wait(BEAT_SECONDS):
            try:
                with self.session():
                    pass
            except ClaimLostError:
                return
            except SQLAlchemyError:
                log.warning("batch %d: the database did not answer", self.number, exc_info=True)

    def release(self) -> None:
        """Let others have the batch."""
        self._ended.set()
        try:
            with self.store.session() as session:
                claims.release_claim(session, self.number, self.holder)
        except SQLAlchemyError:  # others take it when it has been silent for long enough
            log.warning("batch %d: its claim stays for a while", self.number, exc_info=True)


@contextmanager
def claimed(store: Store, number: int, rivals: Rivals) -> Iterator[Claim | None]:
    """Hold a batch, with a heartbeat; None where another worker does, or nobody should."""
    with store.reading() as session:
        last = claims.last_beat(session, number)
    if last is not None and not rivals.is_gone(number, last):
        yield None
        return
    rivals.forget(number)
    claim = Claim(store, number, new_holder())
    with store.session() as session:
        taken = claims.take_claim(session, number, claim.holder, last)
    if not taken:
        yield None
        return
    if last is not None:
        log.warning("batch %d is taken over from %s, which is gone", number, last.holder)
    heart = Thread(target=carrying(claim.keep_beating), name=f"claim-{number}", daemon=True)
    heart.start()
    try:
        yield claim
    finally:
        claim.release()
        heart.join()
