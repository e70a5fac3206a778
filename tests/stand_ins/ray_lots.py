"""Lots for Ray clusters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from threading import Event

import pytest

from defectvision.batch import inspecting, memory
from defectvision.batch.crew import CrewOf
from defectvision.batch.runner import work_on
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.store.batches import Counts, Engine
from defectvision.store.database import Store
from tests.stand_ins.castings import casting

IMAGES = 40
SAME = {1: 0, 12: 3, 13: 3, 31: 29, 37: 5}  # the same file as an earlier one
DONE = Counts(done=IMAGES - 1, failed=1, repeated=len(SAME))


def lot(folder: Path) -> Path:
    """Castings, each another file but for `SAME`, and a file that is no image."""
    folder.mkdir(parents=True)
    for i in range(IMAGES):  # a PNG may be followed by anything: other content, same picture
        data = casting("def" if i % 3 else "ok", i % 7) + i.to_bytes(2)
        (folder / f"{i:04d}.png").write_bytes(data)
    for i, other in SAME.items():
        (folder / f"{i:04d}.png").write_bytes((folder / f"{other:04d}.png").read_bytes())
    (folder / "0020.png").write_bytes(b"no image")
    return folder


def start(store: Store, weights: Path, folder: Path, engine: Engine) -> int:
    request = BatchRequest("lot 7", path=str(folder), engine=engine)
    return start_batch(store, load_bundle(weights, "casting"), request, None, unproven("ada")).id


def work(store: Store, weights: Path, number: int, crew_of: CrewOf | None = None) -> None:
    work_on(store, weights, Limits(), number, Event(), crew_of=crew_of)


def together(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Have so many inspected together, however fast that is."""
    monkeypatch.setattr(memory, "FIRST", images)
    monkeypatch.setattr(memory.OfBatch, "pace", lambda *times: None)


def count_written(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each row was given its end, as it is written."""
    write_answers, written = inspecting.write_answers, Counter[int]()

    def write(session, rows, answers) -> None:
        write_answers(session, rows, answers)
        written.update(row for row, columns in answers.items() if "state" in columns)

    monkeypatch.setattr(inspecting, "write_answers", write)
    return written
