"""Stores with inspections made up for a test: no images, no model, but every kind of score."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
from sqlalchemy import create_engine

from defectvision.bundle import policy as policies
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.rules import Zone
from defectvision.inference.gate import objections_to
from defectvision.inference.regions import Region, cut_of
from defectvision.store.batches import State, next_number
from defectvision.store.database import Store, open_store
from defectvision.store.rows import bin_of, first_of, most_probable, regions_as_json
from defectvision.store.sources import Uploads
from defectvision.store.tables import (
    BatchRow,
    ImageState,
    InspectionRow,
    LineRow,
    now,
)


def new_store(folder: Path, database: str = "") -> Store:
    return open_store(folder / "store", database)


def copy_of_database(store: Store, file: Path) -> str:
    """The address of a copy of the database as it is now: `file`, or one on its server."""
    url = store.engine.url
    if url.get_backend_name() == "sqlite":
        with (
            closing(sqlite3.connect(str(url.database))) as one,
            closing(sqlite3.connect(file)) as other,
        ):
            one.backup(other)
        return f"sqlite:///{file}"
    copy = url.set(database=f"{url.database}_copy")
    store.engine.dispose()  # nobody may be at a database that is copied
    server = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"create database {copy.database} template {url.database}")
    server.dispose()
    return copy.render_as_string(False)


ZONES = (
    Zone(name="rim", corners=((0, 0), (1, 0), (1, 0.2))),
    Zone(name="bore", corners=((0.4, 0.4), (0.6, 0.4), (0.5, 0.6))),
)


def fill(
    store: Store,
    line: Line,
    images: int,
    seed: int = 0,
    batch_title: str = "made up",
    outlines: bool = False,
) -> int:
    """A finished batch of `images` inspections with random scores, thresholds hit exactly among
    them; returns its number.

    outlines: with random regions of the line's defects, as a policy with `ZONES` cuts them.
    """
    rng = np.random.default_rng(seed)
    names = line.class_names
    values = rng.random((images, len(names))) ** 3
    values[: images // 4] = np.round(values[: images // 4], 1)
    if line.label_mode == "multiclass":
        values = (values + 1e-3) / (values + 1e-3).sum(1, keepdims=True)
    with store.session() as session:
        number = next_number(session, BatchRow)  # others who make one wait here
        session.merge(LineRow(name=line.name))
        session.flush()
        batch = BatchRow(
            id=number,
            title=batch_title,
            line=line.name,
            line_content=line.model_dump(mode="json"),
            bundle=line.default_bundle,
            bundle_version="0" * 12,
            mask_classes=list(line.defect_names) if outlines else [],
            bundle_policy=Policy().model_dump(mode="json"),
            source=Uploads(),
            state=State.DONE,
            listed=True,
        )
        session.add(batch)
        session.flush()
        rows = []
        for i, row in enumerate(values.tolist()):
            foreign_score = float(rng.random() * 1.1)
            objections = [asdict(found) for found in objections_to(foreign_score)]
            if rng.random() < 0.05:
                objections.append({"kind": "quality", "words": "too dark"})
            found = dict(zip(names, row, strict=True))
            regions = _regions(rng, line) if outlines else []
            rows.append(
                InspectionRow(
                    batch_id=batch.id,
                    name=f"part_{i:06d}.png",
                    state=ImageState.DONE,
                    bundle_version=batch.bundle_version,
                    at=now(),
                    width=300,
                    height=300,
                    defect_score=policies.defect_score(found, line),
                    score_bin=bin_of(policies.defect_score(found, line)),
                    foreign_score=foreign_score,
                    objections=objections,
                    judged=not objections,
                    top=max(found, key=found.__getitem__),
                    top_ok=most_probable(found, line.good_names),
                    top_defect=most_probable(found, line.defect_names),
                    probabilities=found,
                    **first_of(found, line.label_mode),
                    regions=regions_as_json(regions),
                    cut=cut_of(Policy(zones=ZONES), tuple(batch.mask_classes)),
                    milliseconds={"decode": 1.0, "model": 2.0, "total": 3.0},
                )
            )
        session.add_all(rows)
        return batch.id


def _regions(rng: np.random.Generator, line: Line) -> list[Region]:
    """None on many parts, several on some, the largest first; lengths hit 5 and 10 exactly."""
    found = []
    for _ in range(max(0, rng.integers(-3, 6))):
        length, width = sorted(rng.integers(1, 13, 2).tolist(), reverse=True)
        reached = tuple(zone.name for zone in ZONES if rng.random() < 0.3)
        name = str(rng.choice(line.defect_names))
        area = int(length * width * rng.uniform(0.5, 1)) or 1
        found.append(
            Region(name, area, length, width, 5, 5, 0, 0, length, width, 0.9, None, reached)
        )
    return sorted(found, key=lambda region: -region.area_px)
