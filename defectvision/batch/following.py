"""Look through a watched folder: what is new there, and what is another content than was read."""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import select, update

from defectvision.batch.claim import Claim
from defectvision.batch.memory import OfBatch
from defectvision.batch.reading import Reader
from defectvision.batch.sources import wall_of
from defectvision.batch.watch import Seen, Watch
from defectvision.inference.passed_over import PassedOver
from defectvision.store.answers import inspect_again
from defectvision.store.batches import add_images
from defectvision.store.files import digest_of
from defectvision.store.sources import ListedImage
from defectvision.store.tables import ImageState, InspectionRow

LISTED = 500  # images that are listed together
LOOKS_AGAIN = 64  # changed files that are read in one turn
BUSY_SECONDS = 1.0  # that a look may take before there is a pause as long


def look(
    claim: Claim, folder: Path, memory: OfBatch, reader: Reader, passed_over: PassedOver
) -> int:
    """Rows that wait for what is new, and for files that failed and were written anew; returns how
    many. Raises AwayError and other OSErrors where the folder cannot be looked through."""
    started = time.monotonic()
    if memory.watch is None:
        with claim.store.reading() as session:
            memory.watch = Watch(session, claim.number)
    watch = memory.watch
    new: list[ListedImage] = []
    again: list[Seen] = []
    same: dict[int, str] = {}
    looks = LOOKS_AGAIN
    for file in watch.changed(folder, passed_over, wall_of(reader.source)):
        known = watch.seen.get(str(file))
        if known is not None and known.state == ImageState.FAILED:
            again.append(known)
        if known is not None and known.state == ImageState.DONE:
            if not looks:
                continue
            looks -= 1
            found = reader.read_file(file)
            if found is None:
                continue
            if digest_of(found.data) == known.digest:
                same[known.row] = known.stamp = found.stamp
                continue
        if known is None or known.state == ImageState.DONE:
            new.append(ListedImage(watch.name_for(folder, file), path=str(file)))
    for first in range(0, len(new), LISTED):
        _add(claim, watch, new[first : first + LISTED])
    if again or same:
        _note(claim, again, same)
    watch.arrived(len(new))
    if (took := time.monotonic() - started) > BUSY_SECONDS:
        memory.rest(took)
    return len(new) + len(again)


def _add(claim: Claim, watch: Watch, images: list[ListedImage]) -> None:
    with claim.session() as session:
        add_images(session, claim.number, images)
        here = InspectionRow.batch_id == claim.number
        named = InspectionRow.name.in_([image.name for image in images])
        rows = session.execute(select(InspectionRow.path, InspectionRow.id).where(here, named))
        for path, row in rows:
            watch.seen[path] = Seen(row, ImageState.WAITING, None, "")


def _note(claim: Claim, again: list[Seen], same: dict[int, str]) -> None:
    with claim.session() as session:
        inspect_again(session, [known.row for known in again])
        if same:
            rows = [{"id": row, "stamp": stamp} for row, stamp in same.items()]
            session.execute(update(InspectionRow), rows)
        failed = InspectionRow.id.in_([known.row for known in again])
        session.execute(update(InspectionRow).where(failed).values(tries=0))
    for known in again:
        known.state = ImageState.WAITING
