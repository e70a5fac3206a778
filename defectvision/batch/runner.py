"""Inspect the images of a batch and keep what the model answered.

An image's answer and its state are written in one transaction, a few images at a time, after all
files that the row names. So whatever ends the program, the next one finds every image either
waiting or done, and no row without its files. Each of these transactions is the claim's: a worker
that lost the batch to another writes nothing more.
"""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from threading import Event

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from defectvision.batch.claim import Claim, Rivals, claimed
from defectvision.batch.sources import SourceError, list_images, read_image
from defectvision.bundle.policy import Policy, Verdict, verdict
from defectvision.bundle.reader import BundleError
from defectvision.data.synthetic.samples import is_synthetic
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector, load_inspector
from defectvision.inference.passed_over import PassedOver
from defectvision.limits import Limits
from defectvision.store.batches import (
    ACTIVE,
    State,
    add_images,
    finish,
    get_batch,
    images_in,
)
from defectvision.store.database import Store
from defectvision.store.errors import ClaimLostError, StoreError
from defectvision.store.files import digest_of
from defectvision.store.policies import in_force
from defectvision.store.retention import DEFECTS, NONE
from defectvision.store.rows import Columns, answer_columns, failure_columns, repeated_columns
from defectvision.store.sources import ListedImage, WatchedFolder
from defectvision.store.tables import BatchRow, ImageState, InspectionRow, now

log = logging.getLogger(__name__)
CHUNK = 32  # images that are written together
LISTED = 500  # images that are listed together


def work_on(
    store: Store,
    weights: Path,
    limits: Limits,
    number: int,
    stop: Event,
    seconds: float = math.inf,
    rivals: Rivals | None = None,
) -> bool:
    """List and inspect a batch until it is done, paused, cancelled or `stop` is set, or `seconds`
    are over; of a watched folder, until nothing new is there. Returns whether anything was done:
    not where another process is at the batch.

    A folder that is gone or a full disk pause the batch with the reason; it can be resumed.
    rivals: what the caller saw of others at earlier calls; without, a silent one is never replaced.
    """
    with claimed(store, number, rivals or Rivals()) as claim:
        if claim is None:
            return False
        try:
            return _Sitting(claim, weights, limits, stop, seconds).work()
        except ClaimLostError as error:
            log.warning("%s", error)
            return False


class _Sitting:
    """One worker at one batch."""

    def __init__(self, claim: Claim, weights: Path, limits: Limits, stop: Event, seconds: float):
        self.claim, self.store, self.number = claim, claim.store, claim.number
        self.weights, self.stop, self.limits = weights, stop, limits
        self.until = time.monotonic() + seconds
        with self.store.reading() as session:
            self.batch = get_batch(session, self.number)

    def work(self) -> bool:
        """As `work_on`; raises ClaimLostError."""
        try:
            done = self._list() + self._inspect()
        except ClaimLostError:  # what became of the batch is for the other one to say
            raise
        except BundleError as error:
            with self.claim.session() as session:
                finish(session, self.number, State.FAILED, str(error))
            return True
        except (StoreError, SourceError, OSError) as error:
            self._pause(str(error))
            return True
        except Exception as error:
            log.exception("batch %d was broken off", self.number)
            self._pause(f"an unexpected error: {type(error).__name__}: {error}")
            return True
        if not self.stop.is_set() and not isinstance(self.batch.source, WatchedFolder):
            with self.claim.session() as session:
                if not images_in(session, self.number, ImageState.WAITING, 1):
                    finish(session, self.number, State.DONE)
        return bool(done)

    def _list(self) -> int:
        """Rows for the images that have none yet; returns how many."""
        if self.batch.listed:
            return 0
        added = 0
        passed_over = PassedOver()
        images: list[ListedImage] = []
        for image in list_images(self.batch.source, self.store.files, passed_over):
            images.append(image)
            if len(images) == LISTED:
                added += self._add(images)
                images = []
                if not self._is_wanted():
                    return added
        added += self._add(images)
        complete = not isinstance(self.batch.source, WatchedFolder)
        if complete or passed_over != self.batch.passed_over:
            with self.claim.session() as session:
                session.execute(
                    update(BatchRow)
                    .where(BatchRow.id == self.number)
                    .values(listed=complete, passed_over=dict(passed_over))
                )
        return added

    def _add(self, images: list[ListedImage]) -> int:
        if not images:
            return 0
        with self.claim.session() as session:
            return add_images(session, self.number, images)

    def _inspect(self) -> int:
        """Inspect what waits; returns how many were written."""
        written = 0
        while self._is_wanted():
            started = time.perf_counter()
            with self.store.reading() as session:
                rows = images_in(session, self.number, ImageState.WAITING, CHUNK)
            if not rows:
                break
            answers = self._answer(rows, self._inspector())
            with self.claim.session() as session:
                _write(session, answers)
                session.execute(
                    update(BatchRow)
                    .where(BatchRow.id == self.number)
                    .values(seconds=BatchRow.seconds + time.perf_counter() - started)
                )
            written += len(answers)
            if time.monotonic() > self.until:
                break
        return written

    def _inspector(self) -> Inspector:
        """The bundle that the batch began with; raises BundleError where it was replaced."""
        inspector = load_inspector(self.weights, self.batch.line, self.batch.bundle, self.limits)
        if inspector.loaded.version != self.batch.bundle_version:
            raise BundleError(
                f"bundle '{self.batch.bundle}' was replaced since the batch began "
                f"({self.batch.bundle_version}, now {inspector.loaded.version}). Start a new batch "
                "for the images that are left"
            )
        return inspector

    def _answer(self, rows: list[InspectionRow], inspector: Inspector) -> dict[int, Columns]:
        """What to write into each row. A file whose answer is known is not inferred again, and one
        that stands here twice waits for its first answer."""
        columns: dict[int, Columns] = {}
        content: dict[str, bytes] = {}
        first: dict[str, InspectionRow] = {}
        for row in rows:
            try:
                data = read_image(row, self.batch.source, self.store.files)
            except ImageError as error:
                columns[row.id] = failure_columns(error)
                continue
            digest = digest_of(data)
            if first.setdefault(digest, row) is row:
                content[digest] = data
        with self.store.reading() as session:
            known = _known(session, list(content), inspector.loaded.version)
            whose = self.batch.line, self.batch.bundle
            policy = in_force(session, *whose, inspector.policy).policy
        new = [(digest, data) for digest, data in content.items() if digest not in known]
        answers = inspector.inspect_many(new, thumbnails=True)
        answered = {digest: repeated_columns(row) for digest, row in known.items()}
        for (digest, _), answer in zip(new, answers, strict=True):
            if isinstance(answer, ImageError):
                answered[digest] = failure_columns(answer)
            else:
                answered[digest] = answer_columns(answer, policy, self.store.files)
        for digest, row in first.items():
            columns[row.id] = answered[digest] | {"digest": digest}
            if answered[digest].get("state") != ImageState.FAILED:
                accepted = _is_accepted(answered[digest], policy)
                columns[row.id] |= self._picture_columns(content[digest], accepted)
        return columns

    def _picture_columns(self, data: bytes, accepted: bool) -> Columns:
        """Of an image that is done; its picture lies in the store where it is kept."""
        kept = self.batch.keep != NONE and not (accepted and self.batch.keep == DEFECTS)
        if kept:
            self.store.files.put(data)
        return {
            "state": ImageState.DONE,
            "stored": kept,
            "synthetic": is_synthetic(data),
            "at": now(),
        }

    def _is_wanted(self) -> bool:
        """Whether nobody stopped, paused, cancelled or took over meanwhile."""
        if self.stop.is_set() or self.claim.lost.is_set():
            return False
        with self.store.reading() as session:
            return State(get_batch(session, self.number).state) in ACTIVE

    def _pause(self, message: str) -> None:
        with self.claim.session() as session:
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == self.number, BatchRow.state.in_(ACTIVE))
                .values(state=State.PAUSED, message=message)
            )


def _is_accepted(answer: Columns, policy: Policy) -> bool:
    return verdict(answer["defect_score"], policy, judged=answer["judged"]) == Verdict.ACCEPT


def _known(session: Session, digests: list[str], version: str) -> dict[str, InspectionRow]:
    """Answers of this bundle for these files, by digest."""
    rows = session.scalars(
        select(InspectionRow).where(
            InspectionRow.digest.in_(digests),
            InspectionRow.bundle_version == version,
            InspectionRow.state == ImageState.DONE,
        ).order_by(InspectionRow.id.desc())
    )  # fmt: skip
    return {row.digest: row for row in rows if row.digest}


def _write(session: Session, answers: dict[int, Columns]) -> None:
    session.execute(update(InspectionRow), [{"id": row, **c} for row, c in answers.items()])
