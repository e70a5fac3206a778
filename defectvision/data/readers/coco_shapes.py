"""The shape of one COCO annotation, in each of the forms that tools write it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeGuard

from defectvision.data.catalog import CatalogError
from defectvision.data.rle.coco import read_segmentation

LEAST_NUMBERS = 6  # of a polygon: three corners
NAN = float("nan")


@dataclass(frozen=True)
class Shape:
    """kind, shape and area_px as an ImageSet keeps them; size: (height, width) that it is made
    for, None where the file does not say."""

    kind: str
    shape: object
    area_px: float
    size: tuple[int, int] | None


def read_shape(entry: dict[str, Any], size: tuple[int, int] | None, where: str) -> Shape:
    """The shape of an annotation of an image of `size` (height, width).

    Polygons may come as lists of numbers, one list alone, or pairs; without any the box counts, by
    its attribute `rotation` in degrees, and without that only the class is known. Raises
    CatalogError, which begins with `where`.
    """
    segmentation = entry.get("segmentation")
    area = entry.get("area")
    area = float(area) if is_number(area) and area > 0 else NAN
    if isinstance(segmentation, dict):
        text, counted = read_segmentation(segmentation, size, where)
        height, width = (int(side) for side in segmentation["size"])
        return Shape("rle", text, float(counted), (height, width))
    if segmentation:
        return Shape("polygon", _polygons(segmentation, where), area, size)
    if "bbox" not in entry and segmentation is None:
        return Shape("area", None, area, size)
    attributes = entry.get("attributes")
    turn = attributes.get("rotation") if isinstance(attributes, dict) else None
    box = _box(entry.get("bbox"), where)
    return box_shape(box, turn if is_number(turn) else 0, area, size)


def box_shape(
    box: list[float], degrees: float, area_px: float, size: tuple[int, int] | None
) -> Shape:
    """A box [left, top, width, height] in px, turned clockwise about its centre: CVAT writes the
    box as it was before, and the turn as an attribute of it."""
    if not degrees % 360:
        return Shape("box", box, area_px, size)
    left, top, width, height = box
    turn = math.radians(degrees)
    corners = [(-width, -height), (width, -height), (width, height), (-width, height)]
    outline = []
    for across, down in corners:
        outline.append(left + (width + across * math.cos(turn) - down * math.sin(turn)) / 2)
        outline.append(top + (height + across * math.sin(turn) + down * math.cos(turn)) / 2)
    return Shape("polygon", [outline], area_px, size)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _polygons(segmentation: object, where: str) -> list[list[float]]:
    if not isinstance(segmentation, list):
        raise CatalogError(
            f"{where}: its segmentation is neither polygons nor run lengths. Export it again."
        )
    parts = segmentation
    if all(is_number(value) for value in parts) or all(_is_pair(value) for value in parts):
        parts = [parts]
    return [_polygon(part, where) for part in parts]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _polygon(part: object, where: str) -> list[float]:
    if isinstance(part, list) and part and all(_is_pair(pair) for pair in part):
        part = [value for pair in part for value in pair]
    if not isinstance(part, list) or not all(map(is_number, part)):
        raise CatalogError(f"{where}: a polygon of something else than numbers. Export it again.")
    if len(part) % 2 or len(part) < LEAST_NUMBERS:
        raise CatalogError(
            f"{where}: a polygon of {len(part)} numbers. It takes x and y of three corners or more."
        )
    return [float(value) for value in part]


def _box(box: object, where: str) -> list[float]:
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        raise CatalogError(
            f"{where}: its box is not left, top, width, height in px. Export it again."
        )
    if box[2] <= 0 or box[3] <= 0:
        raise CatalogError(
            f"{where}: a box of {box[2]:g} x {box[3]:g} px. Draw it, or take it out."
        )
    return [float(value) for value in box]
