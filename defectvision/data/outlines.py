"""Polygons and boxes as pixels, exactly as pycocotools draws them.

It takes 25 bytes of memory for every px of an outline, inside the image or not: outlines that lie
far outside belong to another image, and are refused before, and so are those that cross it so often
that nobody drew them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from defectvision.data.catalog import CatalogError

MARGIN_PX, MARGIN = 2.0, 0.05  # how far an outline may leave its image: px, share of its side
LONGEST = 10_000_000  # px of the outlines of one annotation


def draw_polygons(
    polygons: Sequence[Sequence[float]], height: int, width: int
) -> NDArray[np.bool_]:
    """(height, width) bool of what any of `polygons` ([x, y, x, y, ...] in px, each of three
    corners or more) covers; overlapping parts cut no holes.

    Raises CatalogError for one that leaves the image, and where all are longer than LONGEST.
    """
    for polygon in polygons:
        _check_inside(polygon, height, width)
    if (length := sum(map(_length, polygons))) > LONGEST:
        raise CatalogError(
            f"an outline of {length:.0f} px, which nobody draws. Export it as run lengths or as a "
            "mask."
        )
    parts = coco.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width)
    return np.asarray(coco.decode(coco.merge(parts)), bool)


def draw_box(box: Sequence[float], height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool of a box [left, top, width, height] in px; raises CatalogError for one
    that leaves the image."""
    left, top, across, down = box
    _check_inside([left, top, left + across, top + down], height, width)
    part = coco.frPyObjects(np.array([box], np.float64), height, width)
    return np.asarray(coco.decode(coco.merge(part)), bool)


def _length(polygon: Sequence[float]) -> float:
    """Px of a closed outline [x, y, x, y, ...], as it is drawn."""
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    return float(abs(corners - np.roll(corners, 1, 0)).max(1, initial=0).sum())


def _check_inside(points: Sequence[float], height: int, width: int) -> None:
    """Refuse [x, y, x, y, ...] that were made for an image of another size."""
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    sides = np.array([width, height], np.float64)
    margin = MARGIN_PX + MARGIN * sides
    if not ((corners >= -margin) & (corners <= sides + margin)).all():
        (left, top), (right, bottom) = corners.min(0), corners.max(0)
        raise CatalogError(
            f"an outline from {left:g}, {top:g} to {right:g}, {bottom:g} leaves the image of "
            f"{width} x {height} px: it was made for another size or another turn. Export it again."
        )
