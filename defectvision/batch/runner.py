"""Work on a batch: list its images, inspect them (batch/inspecting.py), end it.

An image's answer and its state are written in one transaction, a few images at a time, after all
files that the row names. So whatever ends the program, the next one finds every image either
waiting or done, and no row without its files. Each of these transactions is the claim's: a worker
that lost the batch to another writes nothing more.

What is away, be it a folder, the store's files, the bundle or the database, is waited for. What
one image does, a read that hangs, an error, an end of the whole program, is that image's alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from defectvision.batch.again import images_again
from defectvision.batch.claim import Claim, claimed
from defectvision.batch.crew import CrewOf, Here
from defectvision.batch.following import LISTED, look
from defectvision.batch.inspecting import Inspecting
from defectvision.batch.memory import Memory, OfBatch
from defectvision.batch.reading import MOST_TRIES, Reader, stamp_now
from defectvision.batch.sources import SourceError, list_images
from defectvision.batch.station import Station
from defectvision.bundle.reader import BundleError, load_bundle_once
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.passed_over import PassedOver
from defectvision.limits import Limits
from defectvision.store.answers import inspect_again
from defectvision.store.batches import (
    ACTIVE,
    State,
    add_images,
    finish,
    get_batch,
    images_in,
    line_of,
    say,
)
from defectvision.store.database import Store
from defectvision.store.dropped import drop
from defectvision.store.errors import ClaimLostError, StoreError
from defectvision.store.sources import ListedImage, Uploads, WatchedFolder
from defectvision.store.tables import BatchRow, ImageState
from defectvision.store.workers import workers_here

log = logging.getLogger(__name__)


class BundleReplacedError(BundleError):
    """Another version of the bundle is there than the batch began with."""


def work_on(
    store: Store,
    weights: Path,
    limits: Limits,
    number: int,
    stop: Event,
    seconds: float = math.inf,
    memory: Memory | None = None,
    patience: float = math.inf,
    crew_of: CrewOf | None = None,
) -> bool:
    """List and inspect a batch until it is done, paused, cancelled or `stop` is set, or `seconds`
    are over; of a watched folder, until nothing new is there. Returns whether anything was done:
    not where another process is at the batch, nor where something is away.

    What is away is waited for, with the reason as the batch's message, and tried again by later
    calls; where that lasts longer than `patience` s, the batch is paused.
    memory: what the caller saw at earlier calls; without, a silent rival is never replaced.
    crew_of: gives those who inspect, where it is not this process. Raises SQLAlchemy's errors where
    the database does not answer.
    """
    memory = memory or Memory()
    about = memory.of(number)
    if not about.is_due:
        return False
    if about.watch is not None:
        with store.reading() as session:
            beats = session.scalar(select(BatchRow.beats).where(BatchRow.id == number))
        if about.is_followed(beats or 0):
            return False
    with claimed(store, number, memory.rivals) as claim:
        if claim is None:
            return False
        try:
            sitting = _Sitting(claim, weights, limits, stop, seconds, about, patience, crew_of)
            about.beats = None  # until it is read again
            worked = sitting.work()
        except ClaimLostError as error:
            log.warning("%s", error)
            return False
        finally:
            about.doing = ""
    with store.reading() as session:
        about.beats = session.scalar(select(BatchRow.beats).where(BatchRow.id == number))
    return worked


class _Sitting:
    """One worker at one batch."""

    def __init__(
        self,
        claim: Claim,
        weights: Path,
        limits: Limits,
        stop: Event,
        seconds: float,
        memory: OfBatch,
        patience: float,
        crew_of: CrewOf | None,
    ):
        self.claim, self.store, self.number = claim, claim.store, claim.number
        self.weights, self.stop, self.limits = weights, stop, limits
        self.memory, self.patience, self.crew_of = memory, patience, crew_of
        self.until = time.monotonic() + seconds
        with self.store.reading() as session:
            self.batch = get_batch(session, self.number)
            others = self.batch.beats > (memory.beats or 0) + 1
            if memory.watch is not None and others:
                memory.watch.read_rows(session, self.number)
        self.reader = Reader(self.batch.source, self.store.files, memory)

    def work(self) -> bool:
        """As `work_on`; raises ClaimLostError."""
        try:
            done = self._list() + self._inspect()
            self._finish()
        except ClaimLostError:  # what became of the batch is for the other one to say
            raise
        except BundleReplacedError as error:
            with self.store.reading() as session:
                others = len(workers_here(session)) > 1
            if others:  # one of which may have the version that the batch began with
                return self._wait(str(error))
            with self.claim.session() as session:
                finish(session, self.number, State.FAILED, str(error))
            return True
        except (OperationalError, InterfaceError):  # the database is away, not the batch at fault
            raise
        except SourceError as error:
            self._pause(str(error))
            return True
        except (BundleError, StoreError, OSError) as error:
            return self._wait(str(error))
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            log.exception("batch %d was broken off", self.number)
            self._pause(f"an unexpected error: {type(error).__name__}: {error}")
            return True
        self.memory.is_calm()
        self._say(self.memory.watch.quiet if self.memory.watch else "")
        return bool(done)

    def _list(self) -> int:
        """Rows for the images that have none yet; returns how many."""
        if self.batch.listed:
            return 0
        self.memory.doing = "listing its files"
        passed_over = PassedOver()
        if isinstance(self.batch.source, WatchedFolder):
            folder = Path(self.batch.source.path)
            added = look(self.claim, folder, self.memory, self.reader, passed_over)
            if passed_over != self.batch.passed_over:
                self._note_listed(False, passed_over)
            return added
        added = 0
        images: list[ListedImage] = []
        for image in self._images(passed_over):
            images.append(image)
            if len(images) == LISTED:
                added += self._add(images)
                images = []
                with self.store.reading() as session:
                    if not self._is_wanted(session):
                        return added
        added += self._add(images)
        self._note_listed(True, passed_over)
        return added

    def _images(self, passed_over: PassedOver) -> Iterator[ListedImage]:
        source = self.batch.source
        if source.again_of is not None:
            return images_again(self.store, source, source.again_of)
        return list_images(source, self.store.files, passed_over)

    def _note_listed(self, complete: bool, passed_over: PassedOver) -> None:
        with self.claim.session() as session:
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == self.number)
                .values(listed=complete, passed_over=dict(passed_over))
            )
            if isinstance(self.batch.source, Uploads):  # zip files, of which nothing is left
                drop(session, (file.digest for file in self.batch.source.files))

    def _add(self, images: list[ListedImage]) -> int:
        if not images:
            return 0
        with self.claim.session() as session:
            return add_images(session, self.number, images)

    def _inspect(self) -> int:
        """Inspect what waits; returns how many were written."""
        if self.crew_of is not None:
            crew = self.crew_of(self.batch, self._bundle(), self.store.files)
        else:
            crew = Here(Station(self.batch, self.reader, self.store.files), self.limits)
        given = self.claim, self.batch, crew, self.memory, self._bundle, self._is_wanted
        return Inspecting(*given, self.until).run()

    def _bundle(self) -> LoadedBundle:
        """The bundle that the batch began with; raises BundleError where it is away or was
        replaced."""
        self.memory.doing = "loading its bundle"
        name = self.batch.line, self.batch.bundle
        loaded = load_bundle_once(self.weights, *name, self.limits.trusted)
        if not self._began_with(loaded):
            raise BundleReplacedError(
                f"bundle '{self.batch.bundle}' was replaced since the batch began "
                f"({self.batch.bundle_version}, now {loaded.version}). Put that version "
                "back and resume, or start a new batch for the images that are left"
            )
        return loaded

    def _began_with(self, loaded: LoadedBundle) -> bool:
        """Whether the batch began with this bundle, be it when versions did not cover the line."""
        began, now_ = self.batch.bundle_version, (loaded.version, loaded.earlier_version)
        return began in now_ and line_of(self.batch).decides == loaded.line.decides

    def _finish(self) -> None:
        """End a batch of which nothing waits; files that were read too early are read again."""
        if self.stop.is_set() or isinstance(self.batch.source, WatchedFolder):
            return
        with self.store.reading() as session:
            if images_in(session, self.number, ImageState.WAITING, 1):
                return
            failed = images_in(session, self.number, ImageState.FAILED)
        self.memory.doing = "looking at its files"
        tried = (row for row in failed if row.stamp and row.tries < MOST_TRIES)
        again = [row for row in tried if stamp_now(row.path) != row.stamp]
        for row in again:  # somebody may still be writing it
            self.memory.later[row.id] = time.monotonic() + 2**row.tries
        with self.claim.session() as session:
            if again:
                inspect_again(session, [row.id for row in again])
            else:
                finish(session, self.number, State.DONE)

    def _is_wanted(self, session: Session) -> bool:
        """Whether nobody stopped, paused, cancelled or took over meanwhile."""
        if self.stop.is_set() or self.claim.lost.is_set():
            return False
        return State(get_batch(session, self.number).state) in ACTIVE

    def _wait(self, message: str) -> bool:
        """Say what is away, and have it tried again; returns whether the batch was paused."""
        if self.memory.is_troubled() > self.patience:
            self._pause(message)
            return True
        if message != self.batch.message:
            log.warning("batch %d: %s", self.number, message)
        self._say(message)
        return False

    def _say(self, message: str) -> None:
        """Leave a message with a batch that is worked on; empty where all is well."""
        if message != self.batch.message:
            with self.claim.session() as session:
                say(session, self.number, message)

    def _pause(self, message: str) -> None:
        with self.claim.session() as session:
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == self.number, BatchRow.state.in_(ACTIVE))
                .values(state=State.PAUSED, message=message)
            )
