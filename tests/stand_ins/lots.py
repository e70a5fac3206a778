"""A lot of castings whose batch is worked on by one worker, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import select

from defectvision.batch.memory import Memory
from defectvision.batch.runner import work_on
from defectvision.batch.worker import work_forever
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store import batches
from defectvision.store.batches import Counts
from defectvision.store.database import Store
from defectvision.store.sources import Source
from defectvision.store.tables import InspectionRow
from tests.stand_ins.castings import casting

PARTS = {f"{i}.png": casting("def" if i % 2 else "ok", 3) + bytes([i]) for i in range(6)}


def lot(folder: Path, parts: dict[str, bytes] = PARTS) -> Path:
    folder.mkdir(exist_ok=True)
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    return folder


def start(store: Store, weights: Path, source: Source) -> int:
    with store.session() as session:
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", unproven("ada")).id


def run(store: Store, weights: Path, number: int, memory: Memory | None = None) -> Counts:
    work_on(store, weights, Limits(), number, Event(), memory=memory)
    return counts(store, number)


def counts(store: Store, number: int) -> Counts:
    with store.reading() as session:
        return batches.count_images(session, number)


def said(store: Store, number: int) -> tuple[str, str]:
    with store.reading() as session:
        batch = batches.get_batch(session, number)
        return batch.state, batch.message


def rows(store: Store, number: int) -> dict[str, InspectionRow]:
    with store.reading() as session:
        found = session.scalars(select(InspectionRow).where(InspectionRow.batch_id == number))
        return {row.name: row for row in found}


@contextmanager
def server_working(store: Store, weights: Path) -> Iterator[None]:
    """A server's worker on the store, in a thread of its own."""
    stop = Event()
    what = (lambda: store, weights, Limits(), stop)
    thread = Thread(target=work_forever, args=what)
    thread.start()
    yield
    stop.set()
    thread.join()
