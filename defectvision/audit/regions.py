"""Defect regions from masks: how large, how long, where."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.data.masks import Masks
from defectvision.inference.masks import connected_areas
from defectvision.inference.regions import rectangle_sides

SMALLEST_PX = 4  # specks of fewer pixels come from re-scaled masks, not from defects
MAP_CELLS = 32
COLUMNS = (
    "label", "area_px", "length_px", "width_px", "elongation", "x", "y",
    "left", "top", "box_width", "box_height",
)  # fmt: skip


def measure_regions(masks: Masks) -> Iterator[dict[str, float | str]]:
    """One row of COLUMNS per connected area; x and y are shares of the image's width and height.

    Length and width are the sides of the smallest rectangle around the area, at any angle.
    """
    for label, mask in masks:
        height, width = mask.shape
        areas = connected_areas(mask, SMALLEST_PX)
        for i, (long, short) in enumerate(rectangle_sides(areas).tolist()):
            left, top, box_width, box_height = areas.boxes[i].tolist()
            yield {
                "label": label,
                "area_px": int(areas.area_px[i]),
                "length_px": long,
                "width_px": short,
                "elongation": long / short,
                "x": (areas.centres[i, 0] + 0.5) / width,
                "y": (areas.centres[i, 1] + 0.5) / height,
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
