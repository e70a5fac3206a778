"""Inspect the images of a batch and keep what the model answered.

An image's answer and its state are written in one transaction, a few images at a time, after all
files that the row names. So whatever ends the program, the next one finds every image either
waiting or done, and no row without its files.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from defectvision.batch.sources import SourceError, list_images, read_image
from defectvision.bundle.policy import Policy, Verdict, verdict
from defectvision.bundle.reader import BundleError
from defectvision.data.synthetic.samples import is_synthetic
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector, load_inspector
from defectvision.inference.record import write_record
from defectvision.limits import Limits
from defectvision.store.batches import (
    ACTIVE,
    DONE,
    FAILED,
    WAITING,
    State,
    add_images,
    finish,
    get_batch,
    images_in,
)
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import digest_of
from defectvision.store.policies import in_force
from defectvision.store.retention import DEFECTS, NONE
from defectvision.store.stored import cut_of, regions_as_rows
from defectvision.store.tables import FIRST, BatchRow, InspectionRow, bin_of, first_of, now

log = logging.getLogger(__name__)
CHUNK = 32  # images that are written together
LISTED = 500  # images that are listed together
# What an inspection says, as a repeated image takes it over.
ANSWER = (
    "bundle_version", "width", "height", "defect_score", "score_bin", "foreign_score", "top",
    "top_ok", "top_defect", "probabilities", "regions", "cut", "milliseconds", "record",
    "thumbnail", *FIRST,
)  # fmt: skip


def work_on(
    store: Store,
    weights: Path,
    limits: Limits,
    number: int,
    stop: Event,
    seconds: float = math.inf,
) -> bool:
    """List and inspect a batch until it is done, paused, cancelled or `stop` is set, or `seconds`
    are over; of a watched folder, until nothing new is there. Returns whether anything was done:
    not where another process is at the batch.

    A folder that is gone or a full disk pause the batch with the reason; it can be resumed.
    """
    lock = FileLock(store.folder / f"batch-{number}.lock")
    try:
        with lock.acquire(timeout=0):
            return _Sitting(store, weights, limits, number, stop, seconds).work()
    except Timeout:
        return False


class _Sitting:
    """One worker at one batch."""

    def __init__(
        self,
        store: Store,
        weights: Path,
        limits: Limits,
        number: int,
        stop: Event,
        seconds: float,
    ):
        self.store, self.weights, self.number, self.stop = store, weights, number, stop
        self.limits = limits
        self.until = time.monotonic() + seconds
        with store.reading() as session:
            self.batch = get_batch(session, number)

    def work(self) -> bool:
        if State(self.batch.state) not in ACTIVE:
            return False
        try:
            done = self._list() + self._inspect()
        except BundleError as error:
            with self.store.session() as session:
                finish(session, self.number, State.FAILED, str(error))
            return True
        except (StoreError, SourceError, OSError) as error:
            self._pause(str(error))
            return True
        except Exception as error:
            log.exception("batch %d was broken off", self.number)
            self._pause(f"an unexpected error: {type(error).__name__}: {error}")
            return True
        if not self.stop.is_set() and self.batch.source["kind"] != "watch":
            with self.store.session() as session:
                if not images_in(session, self.number, WAITING, 1):
                    finish(session, self.number, State.DONE)
        return bool(done)

    def _list(self) -> int:
        """Rows for the images that have none yet; returns how many."""
        if self.batch.listed:
            return 0
        added, rows = 0, []
        for row in list_images(self.batch.source, self.store.files):
            rows.append(row)
            if len(rows) == LISTED:
                added += self._add(rows)
                rows = []
                if not self._is_wanted():
                    return added
        added += self._add(rows)
        if self.batch.source["kind"] != "watch":
            with self.store.session() as session:
                session.execute(
                    update(BatchRow).where(BatchRow.id == self.number).values(listed=True)
                )
        return added

    def _add(self, rows: list[dict[str, Any]]) -> int:
        with self.store.session() as session:
            return add_images(session, self.number, rows)

    def _inspect(self) -> int:
        """Inspect what waits; returns how many were written."""
        written = 0
        while self._is_wanted():
            started = time.perf_counter()
            with self.store.reading() as session:
                rows = images_in(session, self.number, WAITING, CHUNK)
            if not rows:
                break
            answers = self._answer(rows, self._inspector())
            with self.store.session() as session:
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

    def _answer(self, rows: list[InspectionRow], inspector: Inspector) -> dict[int, dict[str, Any]]:
        """What to write into each row. A file whose answer is known is not inferred again, and one
        that stands here twice waits for its first answer."""
        values: dict[int, dict[str, Any]] = {}
        content: dict[str, bytes] = {}
        first: dict[str, InspectionRow] = {}
        for row in rows:
            where = {"name": row.name, "path": row.path, "digest": row.digest}
            try:
                data = read_image(where, self.store.files)
            except ImageError as error:
                values[row.id] = _failure(error)
                continue
            except StoreError as error:  # this one file is lost or damaged
                lost = ImageError(row.name, str(error), "Give the file again.")
                values[row.id] = _failure(lost)
                continue
            digest = digest_of(data)
            if first.setdefault(digest, row) is row:
                content[digest] = data
        with self.store.reading() as session:
            known = _known(session, list(content), inspector.loaded.version)
            policy = in_force(session, self.batch.line, self.batch.bundle, inspector.policy).policy
        for digest, before in known.items():
            answer = {column: getattr(before, column) for column in ANSWER}
            values[first[digest].id] = answer | {"same_as": before.id}
        new = [(digest, data) for digest, data in content.items() if digest not in known]
        found = inspector.inspect_many(new, thumbnails=True)
        for (digest, _), answer in zip(new, found, strict=True):
            row = first[digest]
            if isinstance(answer, ImageError):
                values[row.id] = _failure(ImageError(row.name, answer.reason, answer.remedy))
            else:
                values[row.id] = self._values(answer, policy)
        for digest, row in first.items():
            said = values[row.id]
            said["digest"] = digest
            if "state" in said:  # failed
                continue
            wanted = self._keeps(said, policy, inspector)
            if wanted:
                self.store.files.put(content[digest])
            said |= {
                "state": DONE,
                "stored": wanted,
                "synthetic": is_synthetic(content[digest]),
                "at": now(),
            }
        return values

    def _values(self, found: Inspection, policy: Policy) -> dict[str, Any]:
        """The columns of an answer; its record and thumbnail lie in the store then."""
        probabilities = found.probabilities
        height, width = found.image_size
        return {
            "bundle_version": found.bundle_version,
            "width": width,
            "height": height,
            "defect_score": found.defect_score,
            "score_bin": bin_of(found.defect_score),
            "foreign_score": found.foreign_score,
            "top": found.ranking()[0][0],
            "top_ok": _most_probable(found, "ok"),
            "top_defect": _most_probable(found, "defect"),
            "probabilities": probabilities,
            **(first_of(probabilities) if found.line.label_mode == "multilabel" else {}),
            "regions": regions_as_rows(found.regions(policy)),
            "cut": cut_of(policy, found.mask_classes),
            "milliseconds": dataclasses.asdict(found.milliseconds),
            "record": self.store.files.put(write_record(found)),
            "thumbnail": self.store.files.put(found.thumbnail),
        }

    def _keeps(self, said: dict[str, Any], policy: Policy, inspector: Inspector) -> bool:
        if self.batch.keep != DEFECTS:
            return self.batch.keep != NONE
        scores = said["defect_score"], said["foreign_score"]
        return verdict(*scores, policy, inspector.line) != Verdict.ACCEPT

    def _is_wanted(self) -> bool:
        """Whether nobody stopped, paused or cancelled meanwhile."""
        if self.stop.is_set():
            return False
        with self.store.reading() as session:
            return State(get_batch(session, self.number).state) in ACTIVE

    def _pause(self, message: str) -> None:
        with self.store.session() as session:
            session.execute(
                update(BatchRow)
                .where(BatchRow.id == self.number, BatchRow.state.in_(ACTIVE))
                .values(state=State.PAUSED, message=message)
            )


def _most_probable(found: Inspection, kind: str) -> str | None:
    names = [c.name for c in found.line.classes if c.kind == kind]
    return max(names, key=found.probabilities.__getitem__, default=None)


def _failure(error: ImageError) -> dict[str, Any]:
    return {"state": FAILED, "reason": error.reason, "remedy": error.remedy, "at": now()}


def _known(session: Session, digests: list[str], version: str) -> dict[str, InspectionRow]:
    """Answers of this bundle for these files, by digest."""
    rows = session.scalars(
        select(InspectionRow).where(
            InspectionRow.digest.in_(digests),
            InspectionRow.bundle_version == version,
            InspectionRow.state == DONE,
        ).order_by(InspectionRow.id.desc())
    )  # fmt: skip
    return {row.digest: row for row in rows}


def _write(session: Session, values: dict[int, dict[str, Any]]) -> None:
    session.execute(update(InspectionRow), [{"id": id_, **v} for id_, v in values.items()])
