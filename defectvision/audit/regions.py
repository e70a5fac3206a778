"""Defect regions from masks: how large, how long, where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError
from defectvision.data.rle import decode_rle

SMALLEST_PX = 4  # specks of fewer pixels come from re-scaled masks, not from defects
MAP_CELLS = 32
COLUMNS = (
    "label", "area_px", "length_px", "width_px", "elongation", "x", "y",
    "left", "top", "box_width", "box_height",
)  # fmt: skip

Masks = list[tuple[str, NDArray[np.bool_]]]


def masks_of_file(file: Path, label: str, names: dict[int, str]) -> Masks:
    """The (label, (H, W) bool) masks of a PNG: 255 is `label`, else the numbers of `names`.

    Published masks are sometimes smeared by compression: above 127 counts as 255 where no class
    numbers are named. Raises CatalogError where the file cannot be read.
    """
    values = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None:
        raise CatalogError(f"{file.name}: the mask cannot be read. Export it as PNG again.")
    if names:
        return [(name, values == number) for number, name in names.items() if number]
    return [(label, values > 127)]


def masks_of_annotations(rows: pd.DataFrame, height: int, width: int) -> Masks:
    """The masks of the annotation rows of one image; rows that only tell an area give none."""
    found: Masks = []
    for row in rows.itertuples():
        if row.kind == "rle":
            found.append((row.label, decode_rle(row.shape, height, width)))
        elif row.kind in ("polygon", "box"):
            mask = np.zeros((height, width), np.uint8)
            parts = row.shape if row.kind == "polygon" else [_corners(row.shape)]
            outlines = [np.rint(np.array(p, float).reshape(-1, 2)).astype(np.int32) for p in parts]
            cv2.fillPoly(mask, [o for o in outlines if len(o) > 2], 1)
            found.append((row.label, mask.astype(bool)))
    return found


def _corners(box: list[float]) -> list[float]:
    left, top, width, height = box
    return [left, top, left + width, top, left + width, top + height, left, top + height]


def measure_regions(masks: Masks) -> Iterator[dict[str, float | str]]:
    """One row of COLUMNS per connected area; x and y are shares of the image's width and height.

    Length and width are the sides of the smallest rectangle around the area, at any angle.
    """
    for label, mask in masks:
        count, marks, stats, centres = cv2.connectedComponentsWithStats(
            mask.astype(np.uint8), connectivity=8
        )
        height, width = mask.shape
        for i in range(1, count):
            left, top, box_width, box_height, area = (int(v) for v in stats[i])
            if area < SMALLEST_PX:
                continue
            part = (marks[top : top + box_height, left : left + box_width] == i).astype(np.uint8)
            outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
            sides = cv2.minAreaRect(np.concatenate(outlines))[1]
            long, short = max(sides) + 1, min(sides) + 1  # from pixel centres to pixel edges
            yield {
                "label": label,
                "area_px": area,
                "length_px": long,
                "width_px": short,
                "elongation": long / short,
                "x": (centres[i][0] + 0.5) / width,
                "y": (centres[i][1] + 0.5) / height,
                "left": left,
                "top": top,
                "box_width": box_width,
                "box_height": box_height,
            }


def coverage(masks: Masks, cells: int = MAP_CELLS) -> NDArray[np.float32]:
    """(cells, cells): the share of each cell of the image that a mask covers."""
    total = np.zeros((cells, cells), np.float32)
    for _, mask in masks:
        total += cv2.resize(mask.astype(np.float32), (cells, cells), interpolation=cv2.INTER_AREA)
    return np.minimum(total, 1)
