"""The pass over the pictures of a set, in which each is read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.audit.forecast import Forecast, Step
from defectvision.audit.reading import Reading, Task, read_fatal, read_many
from defectvision.audit.regions import COLUMNS as REGION_COLUMNS
from defectvision.audit.regions import MAP_CELLS
from defectvision.audit.unfinished import Unfinished
from defectvision.audit.workers import Workers
from defectvision.data.class_names import read_class_numbers
from defectvision.data.image_set import ImageSet

READ_CHUNK = 16


@dataclass
class FirstPass:
    """What single pictures give: rows of `pictures` and `regions`, the coverage of each class as
    in `Study`, and what went wrong."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    regions: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    totals: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)

    def take(self, reading: Reading, path: str) -> None:
        self.failures += reading.errors
        if reading.measures is not None:
            self.rows.append({"image": reading.image, "path": path, **reading.measures})
        self.regions += reading.regions
        for label, part in reading.coverage.items():
            self.totals.setdefault(label, np.zeros((MAP_CELLS, MAP_CELLS), np.float32))
            self.totals[label] += part
            self.shown[label] = self.shown.get(label, 0) + 1

    def parts(self) -> dict[str, Any]:
        """By the names that they have in a `Study`."""
        return {
            "pictures": pd.DataFrame(self.rows) if self.rows else no_pictures(),
            "regions": pd.DataFrame(self.regions, columns=["image", *REGION_COLUMNS]),
            "coverage": {name: self.totals[name] / np.float32(self.shown[name])
                         for name in self.totals},
            "failures": self.failures,
        }  # fmt: skip


def no_pictures() -> pd.DataFrame:
    """A table of pictures without rows."""
    return pd.DataFrame({"image": pd.Series(dtype="int64"), "path": pd.Series(dtype=object)})


def read_all(image_set: ImageSet, work: Unfinished, crew: Workers, forecast: Forecast) -> FirstPass:
    """Read the pictures of a set that `work` does not have yet, and take all together, in the
    order of the catalog."""
    found = FirstPass(failures=[str(left_out) for left_out in image_set.catalog.left_out])
    tasks = list(_tasks(image_set))
    forecast.begin(Step.READ, len(work.readings))
    fresh = _fresh([t for t in tasks if t.image not in work.readings], work, crew, forecast)
    for task in tasks:
        found.take(work.readings.get(task.image) or next(fresh), task.path)
    return found


def _fresh(
    tasks: list[Task], work: Unfinished, crew: Workers, forecast: Forecast
) -> Iterator[Reading]:
    done = len(work.readings)
    parts = [(tasks[i : i + READ_CHUNK],) for i in range(0, len(tasks), READ_CHUNK)]

    def fatal(some: list[Task]) -> tuple[list[Reading], float | None]:
        """One of them ended its process: the others are read again, one by one."""
        single = crew.map(read_many, [([task],) for task in some], read_fatal)
        return [reading for readings, _ in single for reading in readings], None

    for readings, pair_seconds in crew.map(read_many, parts, fatal):
        work.add_readings(readings)
        if pair_seconds is not None:
            forecast.pair_took(pair_seconds)
        done += len(readings)
        forecast.advance(done)
        yield from readings


def _tasks(image_set: ImageSet) -> Iterator[Task]:
    catalog = image_set.catalog
    classes = read_class_numbers(catalog.root)
    notes = {int(i): rows for i, rows in image_set.annotations.groupby("image")}
    columns = (catalog.table[name] for name in ("path", "label", "mask"))
    for i, (path, label, mask) in enumerate(zip(*columns, strict=True)):
        yield Task(
            i,
            str(catalog.root),
            path,
            image_set.limit_pixels,
            image_set.bits,
            label,
            mask,
            classes,
            notes.get(i),
        )
