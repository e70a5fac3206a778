"""Everything that is found in a labelled set, in stages: what its labels say, then its pictures one
by one, then how they lie together, then its pairs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from defectvision.audit.cache import known_key, study_key
from defectvision.audit.first_pass import no_pictures, read_all
from defectvision.audit.forecast import Forecast, Step, Tell
from defectvision.audit.near_duplicates import (
    CHUNK,
    ROUNDS,
    Group,
    Pair,
    compare_pairs,
    group_pictures,
)
from defectvision.audit.picture_map import picture_map
from defectvision.audit.regions import COLUMNS as REGION_COLUMNS
from defectvision.audit.shortcuts import shortcuts
from defectvision.audit.study_files import keep, kept
from defectvision.audit.unfinished import Unfinished, unfinished
from defectvision.audit.workers import Workers
from defectvision.copies.alignment import Agreement
from defectvision.copies.proposals import embed, neighbours
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet, open_set
from defectvision.data.leaks import with_groups
from defectvision.data.statistics import primary_label

FEW = 24  # pictures; below this, starting processes takes longer than the work


class Stage(IntEnum):
    """How far a study has come; each stage has what those before it have."""

    LABELS = 0  # the catalog: balance, splits, images to look at
    PICTURES = 1  # measures, regions, coverage, failures
    MAP = 2
    COPIES = 3  # near-copies, and with them leaks and shortcuts: everything


def _silent(_: object) -> None:
    pass


def _no_regions() -> pd.DataFrame:
    return pd.DataFrame(columns=["image", *REGION_COLUMNS])


@dataclass(eq=False)
class Study:
    """What was found in a set, up to `stage`.

    pictures: a row per readable image (`image`, `path` and `pictures.measure`); regions: a row per
    defect area (`image`, `regions.COLUMNS`; where only areas are known the rest is NaN);
    coverage: per class (32, 32) share of the images of the class that are defective at each
    place; groups: near-copies; pairs: the confirmed ones; map: (`image`, `x`, `y`); failures:
    messages. `seconds` is what the first opening took.
    """

    image_set: ImageSet
    pictures: pd.DataFrame = field(default_factory=no_pictures)
    regions: pd.DataFrame = field(default_factory=_no_regions)
    coverage: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    pairs: pd.DataFrame = field(default_factory=pd.DataFrame)
    map: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["image", "x", "y"]))
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    from_cache: bool = False
    key: str = ""
    stage: Stage = Stage.LABELS

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
    progress: Tell = _silent,
    workers: int | None = None,
    image_set: ImageSet | None = None,
    staged: Callable[[Study], None] = _silent,
) -> Study:
    """Open a set and find everything about it, or take it from the folder `cache`.

    `limit_pixels` is the largest image that is decoded; `progress` is told between pieces of work,
    `staged` gets what is known at the end of each stage but the last. What was measured before an
    early end, of this process or another, is not measured again. Raises CatalogError where the
    set cannot be opened, OSError where the cache cannot be written; single broken images only
    stand in `failures`.
    """
    started = time.perf_counter()
    image_set = image_set or open_set(path, limit_pixels)
    opened = opened_study(image_set)
    staged(opened)
    count = len(image_set.catalog)
    crew = (workers or os.cpu_count() or 1) if count >= FEW else 1
    forecast = Forecast(count, crew, progress)
    forecast.begin(Step.CHECK)
    key = study_key(image_set, lambda done, files: forecast.advance(done / files * count), cache)
    if found := _kept(image_set, cache, key):
        return found
    if not image_set.has_images:
        found = replace(opened, key=key, seconds=time.perf_counter() - started)
        keep(cache, key, vars(found))
        return found
    with unfinished(cache, key, count, partial(forecast.begin, Step.WAIT)) as work:
        if found := _kept(image_set, cache, key):  # by the process that had it until now
            return found
        found = _find(replace(opened, key=key), work, crew, forecast, staged)
        found.seconds = time.perf_counter() - started
        keep(cache, key, vars(found))
    return found


def open_grouped(
    path: Path,
    cache: Path,
    limit_pixels: int,
    tell: Tell = _silent,
    *,
    bits: int | None = None,
    good: Sequence[str] = (),
    unsorted_good: bool = False,
) -> ImageSet:
    """The image set at `path`, its photo groups joined with the near-copies that its pictures show:
    an index can miss some, and a folder of classes names none. bits, good, unsorted_good: see
    `open_set`. Raises as `study`."""
    images = open_set(path, limit_pixels, bits, good, unsorted_good)
    found = study(path, cache, limit_pixels, tell, image_set=images)
    return replace(found.image_set, catalog=found.grouped)


def opened_study(image_set: ImageSet) -> Study:
    """What a set's labels say; of a set without images that is everything."""
    failures = [*map(str, image_set.catalog.left_out)]
    if image_set.has_images:
        return Study(image_set, failures=failures)
    regions = image_set.annotations[["image", "label", "area_px"]]
    return Study(
        image_set,
        stage=Stage.COPIES,
        regions=regions.reindex(columns=["image", *REGION_COLUMNS]),
        failures=[*failures, *image_set.unreadable],
    )


def known_study(image_set: ImageSet, cache: Path) -> Study | None:
    """The study of a set, where it can be had at once; else None."""
    key = known_key(image_set, cache)
    found = None if key is None else _kept(image_set, cache, key)
    return found or (None if image_set.has_images else opened_study(image_set))


def _kept(image_set: ImageSet, cache: Path, key: str) -> Study | None:
    parts = kept(cache, key)
    if parts is None:
        return None
    return Study(image_set, **parts, from_cache=True, key=key, stage=Stage.COPIES)


def _find(
    found: Study,
    work: Unfinished,
    workers: int,
    forecast: Forecast,
    staged: Callable[[Study], None],
) -> Study:
    count = len(found.catalog)
    with Workers(workers) as crew:
        read = read_all(found.image_set, work, crew, forecast)
        work.features.flush()
        found = replace(found, stage=Stage.PICTURES, **read.parts())
        staged(found)
        # Each is many small steps, whose threads wait for one another where others compute, too.
        with threadpool_limits(1):
            forecast.begin(Step.DESCRIBE)
            vectors = embed(work.features.descriptors, count, forecast.advance)
            forecast.begin(Step.MAP)
            laid = picture_map(vectors, found.pictures["image"].to_numpy())
        found = replace(found, stage=Stage.MAP, map=laid)
        staged(found)
        forecast.begin(Step.COMPARE)
        digests = [""] * count
        for image, digest in zip(
            found.pictures["image"], found.pictures.get("sha256", []), strict=True
        ):
            digests[int(image)] = digest
        groups, pairs = group_pictures(
            digests,
            neighbours(vectors, ROUNDS[-1][1]),
            partial(_compared, work, crew, forecast),
            lambda share: forecast.advance(share * count),
        )
    return replace(found, stage=Stage.COPIES, groups=groups, pairs=pairs)


def _compared(
    work: Unfinished, crew: Workers, forecast: Forecast, pairs: list[Pair]
) -> Iterator[Agreement | None]:
    """How pairs of pictures compare: as `work` knows, and the others by the crew."""
    known = work.agreements
    unknown = [pair for pair in pairs if pair not in known]
    parts = [unknown[i : i + CHUNK] for i in range(0, len(unknown), CHUNK)]
    fresh = crew.map(compare_pairs, [(work.folder, work.count, part) for part in parts])
    coming = zip(parts, fresh, strict=True)
    resumed = len(unknown) < len(pairs)
    for pair in pairs:
        if pair not in known:
            if resumed:
                forecast.restart()
                resumed = False
            work.add_agreements(*next(coming))
        yield known.pop(pair)
