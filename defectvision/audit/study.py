"""Everything that is found in a labelled set: one pass over its pictures, then its pairs."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.audit.alignment import Agreement
from defectvision.audit.cache import study_key, write_folder
from defectvision.audit.feature_store import FeatureStore
from defectvision.audit.near_duplicates import (
    CHUNK,
    ROUNDS,
    Group,
    compare_pairs,
    group_pictures,
)
from defectvision.audit.picture_map import picture_map
from defectvision.audit.proposals import embed, neighbours
from defectvision.audit.reading import Reading, Task, read_many
from defectvision.audit.regions import COLUMNS as REGION_COLUMNS
from defectvision.audit.regions import MAP_CELLS
from defectvision.audit.shortcuts import shortcuts
from defectvision.audit.workers import Workers
from defectvision.data.catalog import Catalog
from defectvision.data.class_names import read_class_numbers
from defectvision.data.image_set import ImageSet, open_set
from defectvision.data.leaks import with_groups
from defectvision.data.statistics import primary_label

READ_CHUNK = 16
FEW = 24  # pictures; below this, starting processes takes longer than the work

Progress = Callable[[str, int, int], None]


def _silent(step: str, done: int, total: int) -> None:
    pass


@dataclass(eq=False)
class Study:
    """What was found in a set.

    pictures: a row per readable image (`image`, `path` and `pictures.measure`); regions: a row per
    defect area (`image`, `regions.COLUMNS`; where only areas are known the rest is NaN);
    coverage: per class (32, 32) share of the images of the class that are defective at each
    place; groups: near-copies; pairs: the confirmed ones; map: (`image`, `x`, `y`); failures:
    messages. `seconds` is what the first opening took.
    """

    image_set: ImageSet
    pictures: pd.DataFrame
    regions: pd.DataFrame
    coverage: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    map: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["image", "x", "y"]))
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    from_cache: bool = False
    key: str = ""

    @property
    def catalog(self) -> Catalog:
        return self.image_set.catalog

    @cached_property
    def grouped(self) -> Catalog:
        """The catalog with the found groups joined to those it has."""
        return with_groups(self.catalog, [group.images for group in self.groups])

    @cached_property
    def shortcuts(self) -> pd.DataFrame:
        """`shortcuts.shortcuts` of the readable pictures, resampled by the found groups."""
        if self.pictures.empty:
            return shortcuts(pd.DataFrame(), [], [])
        rows = self.pictures["image"].to_numpy()
        labels = primary_label(self.catalog).to_numpy()[rows]
        groups = self.grouped.groups()[rows]
        return shortcuts(self.pictures.reset_index(drop=True), list(labels), list(groups))


def study(
    path: Path,
    cache: Path,
    limit_pixels: int,
    progress: Progress = _silent,
    workers: int | None = None,
    image_set: ImageSet | None = None,
) -> Study:
    """Open a set and find everything about it, or take it from the folder `cache`.

    `limit_pixels` is the largest image that is decoded; `progress(step, done, total)` is called
    between pieces of work. Raises CatalogError where the set cannot be opened; single broken
    images only stand in `failures`.
    """
    started = time.perf_counter()
    image_set = image_set or open_set(path, limit_pixels)
    key = study_key(image_set, lambda d, n: progress("Comparing with the cache", d, n), cache)
    place = cache / "studies" / key
    if (place / "study.json").is_file():
        try:
            return _load(place, image_set, key)
        except (OSError, ValueError, KeyError):
            pass  # a damaged cache is no reason to fail: find it all again
    found = _study(image_set, progress, workers or os.cpu_count() or 1)
    found.seconds, found.key = time.perf_counter() - started, key
    write_folder(place, lambda folder: _write(found, folder))
    return found


def _study(image_set: ImageSet, progress: Progress, workers: int) -> Study:
    if not image_set.has_images:
        regions = image_set.annotations[["image", "label", "area_px"]]
        return Study(
            image_set,
            pd.DataFrame(),
            regions.reindex(columns=["image", *REGION_COLUMNS]),
            failures=[*map(str, image_set.catalog.left_out), *image_set.unreadable],
        )
    count = len(image_set.catalog)
    with tempfile.TemporaryDirectory(prefix="defectvision-") as name:
        folder = Path(name)
        store = FeatureStore(folder, count, create=True)
        with Workers(workers if count >= FEW else 0) as crew:
            found = _read_all(image_set, store, crew, progress)
            store.flush()
            digests = [""] * count
            for i, digest in zip(
                found.pictures.get("image", []), found.pictures.get("sha256", []), strict=True
            ):
                digests[int(i)] = digest
            progress("Describing the pictures", 0, 1)
            vectors = embed(store.descriptors, count)
            near = neighbours(vectors, ROUNDS[-1][1])

            def compare(pairs: list[tuple[int, int]]) -> Iterator[Agreement | None]:
                parts = [pairs[i : i + CHUNK] for i in range(0, len(pairs), CHUNK)]
                for part in crew.map(compare_pairs, [(folder, count, p) for p in parts]):
                    yield from part

            found.groups, found.pairs = group_pictures(
                digests, near, compare, lambda d, n: progress("Comparing pairs", d, n)
            )
        progress("Drawing the map", 0, 1)
        readable = found.pictures["image"].to_numpy() if len(found.pictures) else []
        found.map = picture_map(vectors, readable)
    return found


def _read_all(image_set: ImageSet, store: FeatureStore, crew: Workers, progress: Progress) -> Study:
    catalog = image_set.catalog
    tasks = list(_tasks(image_set))
    parts = [tasks[i : i + READ_CHUNK] for i in range(0, len(tasks), READ_CHUNK)]
    rows, regions, done = [], [], 0
    failures = [str(left_out) for left_out in catalog.left_out]
    totals: dict[str, NDArray[np.float32]] = {}
    shown: dict[str, int] = {}
    for part in crew.map(read_many, [(p,) for p in parts]):
        for reading in part:
            failures += reading.errors
            if reading.measures is not None:
                path = catalog.table["path"].iloc[reading.image]
                rows.append({"image": reading.image, "path": path, **reading.measures})
            regions += reading.regions
            _add_coverage(reading, totals, shown)
            if reading.features is not None:
                store.put(reading.image, reading.features)
        done += len(part)
        progress("Reading the pictures", done, len(tasks))
    found = pd.DataFrame(regions, columns=["image", *REGION_COLUMNS])
    coverage = {label: totals[label] / np.float32(shown[label]) for label in totals}
    return Study(image_set, pd.DataFrame(rows), found, coverage, failures=failures)


def _add_coverage(
    reading: Reading, totals: dict[str, NDArray[np.float32]], shown: dict[str, int]
) -> None:
    for label, part in reading.coverage.items():
        totals.setdefault(label, np.zeros((MAP_CELLS, MAP_CELLS), np.float32))
        totals[label] += part
        shown[label] = shown.get(label, 0) + 1


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


def _write(result: Study, folder: Path) -> None:
    for name in ("pictures", "regions", "pairs", "map"):
        getattr(result, name).to_json(folder / f"{name}.json", orient="split", double_precision=6)
    arrays: dict[str, Any] = dict(enumerate_names(result.coverage))
    np.savez_compressed(folder / "coverage.npz", **arrays)
    content = {
        "seconds": result.seconds,
        "failures": result.failures,
        "groups": [[list(g.images), g.kind] for g in result.groups],
        "covered": list(result.coverage),
    }
    (folder / "study.json").write_text(json.dumps(content), encoding="utf-8")


def enumerate_names(
    arrays: dict[str, NDArray[np.float32]],
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Arrays under names that any class name fits: `c0`, `c1`, ..."""
    for i, array in enumerate(arrays.values()):
        yield f"c{i}", array


def _load(place: Path, image_set: ImageSet, key: str) -> Study:
    content = json.loads((place / "study.json").read_text(encoding="utf-8"))
    tables = {}
    for name in ("pictures", "regions", "pairs", "map"):
        raw = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
        tables[name] = pd.DataFrame(raw["data"], columns=raw["columns"])
    with np.load(place / "coverage.npz") as arrays:
        coverage = {label: arrays[f"c{i}"] for i, label in enumerate(content["covered"])}
    place.touch()
    found = Study(
        image_set,
        coverage=coverage,
        groups=[Group(tuple(images), kind) for images, kind in content["groups"]],
        failures=content["failures"],
        seconds=content["seconds"],
        **tables,
    )
    return replace(found, from_cache=True, key=key)
