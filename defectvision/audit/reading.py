"""One pass over one picture: everything that is measured needs it in memory only once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision import roots
from defectvision.audit import regions
from defectvision.audit.pictures import measure
from defectvision.copies.alignment import agreement
from defectvision.copies.keypoints import Features, as_grey, extract
from defectvision.data.catalog import CatalogError
from defectvision.data.masks import each_mask
from defectvision.inference.images import ImageError, decode_image


@dataclass(frozen=True)
class Task:
    """What to read: a row of the catalog, its mask and its annotations."""

    image: int
    root: str
    path: str
    limit_pixels: int
    bits: int | None
    label: str = ""
    mask: str = ""
    classes: dict[int, str] = field(default_factory=dict)
    annotations: pd.DataFrame | None = None


@dataclass
class Reading:
    """What one picture gave; `errors` are messages for a person."""

    image: int
    measures: dict[str, float | str] | None = None
    regions: list[dict[str, float | str]] = field(default_factory=list)
    coverage: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    features: Features | None = None
    errors: list[str] = field(default_factory=list)


def read(task: Task) -> Reading:
    """Read one picture; whatever is wrong with it is said in `errors`, nothing is raised."""
    try:
        return _read(task)
    except Exception as error:  # one picture must not cost the others
        return Reading(task.image, errors=[_unmeasured(task, f"{type(error).__name__}: {error}")])


def _unmeasured(task: Task, reason: str) -> str:
    return (
        f"{task.path}: could not be measured ({reason}). Save it anew from an image editor, or "
        "leave it out."
    )


def _read(task: Task) -> Reading:
    found = Reading(task.image)
    try:
        data = roots.content(Path(task.root) / task.path)
        pixels = decode_image(data, task.path, task.limit_pixels, bits=task.bits)
    except ImageError as error:
        found.errors.append(str(error))
        return found
    except OSError as error:
        found.errors.append(f"{task.path}: cannot be read ({error.strerror}). Check the file.")
        return found
    found.measures = measure(pixels, data, task.path)
    masks = each_mask(
        pixels.shape[:2],
        file=Path(task.root) / task.mask if task.mask else None,
        label=task.label,
        classes=task.classes,
        annotations=task.annotations,
        root=Path(task.root),
        photograph=task.path,
    )
    rows: list[dict[str, float | str]] = []
    covered: dict[str, NDArray[np.float32]] = {}
    try:
        for label, mask in masks:
            rows += list(regions.measure_regions([(label, mask)]))
            if mask.any():
                part = regions.coverage([(label, mask)])
                covered[label] = np.minimum(covered.get(label, 0) + part, np.float32(1))
    except (CatalogError, OSError) as error:
        found.errors.append(f"{task.path}: {error}")
        rows, covered = [], {}
    found.regions = [{"image": task.image, **row} for row in rows]
    found.coverage = covered
    found.features = extract(as_grey(pixels))
    return found


def read_many(tasks: list[Task]) -> tuple[list[Reading], float | None]:
    """Several pictures, in a worker process, and the seconds that comparing two of them took, from
    which the time for all pairs is told long before they are compared; None of fewer than three."""
    import cv2

    cv2.setNumThreads(1)  # OpenCV's own threads would only fight the other processes
    readings = [read(task) for task in tasks]
    features = [r.features for r in readings if r.features is not None]
    if len(features) < 3:
        return readings, None
    agreement(features[0], features[1])  # the first one of a process takes longer
    started = time.perf_counter()
    agreement(features[1], features[2])
    return readings, time.perf_counter() - started


def read_fatal(tasks: list[Task]) -> tuple[list[Reading], float | None]:
    """What stands for pictures at which the process that read them ended."""
    reason = "the program that read it broke down"
    return [Reading(task.image, errors=[_unmeasured(task, reason)]) for task in tasks], None
