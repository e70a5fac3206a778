"""Batches that several workers want, and the one store that they find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from defectvision.batch.sources import folder_source
from defectvision.bundle.reader import load_bundle
from defectvision.people import unproven
from defectvision.store import batches, claims
from defectvision.store.batches import Counts
from defectvision.store.database import Store, open_store
from defectvision.store.tables import BatchRow, InspectionRow
from tests.stand_ins.castings import casting

IMAGES = 40  # more than is written together
PATIENCE = 90  # s
ELSEWHERE = "plant-9:17:4711:0123456789ab:fedcba987654"  # a process of another machine
DATABASES = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
# For real processes: what they agree on tests/batch/test_claims.py tries on both.
MOSTLY_SQLITE, MOSTLY_POSTGRESQL = (
    pytest.mark.parametrize(
        "database", [usual, pytest.param(other, marks=pytest.mark.soak)], indirect=True
    )
    for usual, other in (("sqlite", "postgresql"), ("postgresql", "sqlite"))
)


@dataclass(frozen=True)
class Place:
    """Where servers find their one store; with PostgreSQL each has a folder of its own."""

    folder: Path
    database: str

    def open(self, server: str = "a") -> Store:
        own = self.folder / (server if self.database else "store")
        return open_store(own, self.database, str(self.folder / "files"))


def new_batch(store: Store, weights: Path, folder: Path, images: int = IMAGES) -> int:
    (folder / "lot").mkdir(exist_ok=True)
    for i in range(images):  # a PNG may be followed by anything: other content, same picture
        data = casting("def" if i % 3 else "ok", 3) + i.to_bytes(2)
        (folder / "lot" / f"{i:04d}.png").write_bytes(data)
    with store.session() as session:
        source = folder_source(folder / "lot", None)
        loaded = load_bundle(weights, "casting")
        return batches.add_batch(session, loaded, source, "lot 7", unproven("ada")).id


def batch_row(store: Store, number: int) -> BatchRow:
    with store.reading() as session:
        return batches.get_batch(session, number)


def counts(store: Store, number: int) -> Counts:
    with store.reading() as session:
        return batches.count_images(session, number)


def steal(store: Store, number: int) -> None:
    """What a worker elsewhere does that believes the holder to be gone."""
    with store.session() as session:
        last = claims.last_beat(session, number)
        assert claims.take_claim(session, number, ELSEWHERE, last)


def give_back(store: Store, number: int) -> None:
    with store.session() as session:
        claims.release_claim(session, number, ELSEWHERE)


def done_rows(store: Store, number: int) -> list[InspectionRow]:
    with store.reading() as session:
        of_batch = InspectionRow.batch_id == number, InspectionRow.state == "done"
        rows = list(session.scalars(select(InspectionRow).where(*of_batch)))
    assert len(rows) == counts(store, number).total
    return rows
