"""An image, its answer or its error into the columns of a row, and regions back out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from defectvision.bundle.policy import Policy
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.record import write_record
from defectvision.inference.regions import Region, cut_of
from defectvision.store.files import Files
from defectvision.store.sources import ListedImage
from defectvision.store.tables import BINS, FIRST, ImageState, InspectionRow, now

Columns = dict[str, Any]
# What an inspection says, as a repeated image takes it over.
ANSWER = (
    "bundle_version", "width", "height", "defect_score", "score_bin", "foreign_score", "objections",
    "judged", "top", "top_ok", "top_defect", "probabilities", "regions", "cut", "milliseconds",
    "record", "thumbnail", *FIRST,
)  # fmt: skip


def listed_row(batch: int, image: ListedImage) -> InspectionRow:
    """An image that waits, or one that cannot be had and has failed already."""
    state = ImageState.FAILED if image.reason else ImageState.WAITING
    return InspectionRow(batch_id=batch, state=state, **vars(image))


def answer_columns(inspection: Inspection, policy: Policy, files: Files) -> Columns:
    """The columns `ANSWER` of an inspection, its regions as `policy` cuts them; its record and its
    thumbnail lie in `files` then."""
    probabilities, line = inspection.probabilities, inspection.line
    height, width = inspection.image_size
    return {
        "bundle_version": inspection.bundle_version,
        "width": width,
        "height": height,
        "defect_score": inspection.defect_score,
        "score_bin": bin_of(inspection.defect_score),
        "foreign_score": inspection.foreign_score,
        "objections": [dataclasses.asdict(objection) for objection in inspection.objections],
        "judged": not inspection.objections,
        "top": inspection.ranking()[0][0],
        "top_ok": most_probable(probabilities, line.good_names),
        "top_defect": most_probable(probabilities, line.defect_names),
        "probabilities": probabilities,
        **first_of(probabilities, line.label_mode),
        "regions": regions_as_json(inspection.regions(policy)),
        "cut": cut_of(policy, inspection.mask_classes),
        "milliseconds": dataclasses.asdict(inspection.milliseconds),
        "record": files.put(write_record(inspection)),
        "thumbnail": files.put(inspection.thumbnail),
    }


def repeated_columns(row: InspectionRow) -> Columns:
    """The answer of an image whose file is the same."""
    return {column: getattr(row, column) for column in ANSWER} | {"same_as": row.id}


def failure_columns(error: ImageError) -> Columns:
    """Of an image that could not be inspected."""
    return {
        "state": ImageState.FAILED,
        "reason": error.reason,
        "remedy": error.remedy,
        "at": now(),
    }


def bin_of(score: float | None) -> int | None:
    """The bin of a score in 0..1, each 1 / BINS wide; the last one has both its ends. Kept with
    the row, as databases differ in how they cut a number off."""
    return None if score is None else min(int(score * BINS), BINS - 1)


def first_of(
    probabilities: Mapping[str, float], label_mode: Literal["multiclass", "multilabel"]
) -> dict[str, float]:
    """The columns `FIRST` of a multilabel line: several labels are counted without parsing every
    row's JSON."""
    if label_mode == "multiclass":
        return {}
    return dict(zip(FIRST, probabilities.values(), strict=False))


def most_probable(probabilities: Mapping[str, float], names: Iterable[str]) -> str | None:
    """The most probable of the classes `names`; None where there are none."""
    return max(names, key=probabilities.__getitem__, default=None)


def regions_as_json(regions: Iterable[Region]) -> list[dict[str, Any]]:
    """Regions as the store keeps them: in px, as the scale is the policy's."""
    rows = [dataclasses.asdict(region) for region in regions]
    for row in rows:
        del row["mm_per_px"]
    return rows


def regions_of(row: InspectionRow, mm_per_px: float | None) -> tuple[Region, ...]:
    """The regions that a row keeps, under a scale; see `regions.cut_of` for which policies they are
    right."""
    return tuple(
        Region(**fields | {"zones": tuple(fields.get("zones", ()))}, mm_per_px=mm_per_px)
        for fields in row.regions or []
    )
