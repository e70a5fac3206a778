"""The mask of a class on the image's own pixels, as the policy draws its border."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.preprocessing import map_to_image

if TYPE_CHECKING:
    from defectvision.inference.inspector import Inspection
    from defectvision.inference.policy import Policy


@dataclass(frozen=True)
class Areas:
    """The connected areas (8 neighbours) of one mask, which may be a window of an image.

    marks: (h, w) int32, 0 off the mask and i + 1 on area i; left, top: the image's px that the
    window begins at; area_px: (N,) int; boxes: (N, 4) int, left, top, width, height in px of the
    image; centres: (N, 2) float, x and y in px of the image, pixel centres on whole numbers.
    """

    marks: NDArray[np.int32]
    area_px: NDArray[np.int32]
    boxes: NDArray[np.int32]
    centres: NDArray[np.float64]
    left: int = 0
    top: int = 0

    def __len__(self) -> int:
        return len(self.area_px)

    @property
    def mask(self) -> NDArray[np.uint8]:
        """(h, w) uint8: 1 on the areas."""
        return (self.marks > 0).view(np.uint8)

    def moved(self, left: int, top: int) -> Areas:
        """The same areas in an image in which their window begins at (`left`, `top`) px."""
        return replace(
            self,
            boxes=self.boxes + np.array([left, top, 0, 0], np.int32),
            centres=self.centres + np.array([left, top]),
            left=self.left + left,
            top=self.top + top,
        )


@dataclass(frozen=True)
class ClassAreas:
    """What a policy finds of one class: its areas, and the probability x 255 (h, w) uint8 that
    they were cut from, both on the window of the image that can hold any."""

    class_name: str
    areas: Areas
    probability: NDArray[np.uint8]


def connected_areas(mask: NDArray[np.bool_] | NDArray[np.uint8], smallest_px: int = 0) -> Areas:
    """The areas of `mask` (H, W) that have at least `smallest_px` px, in reading order."""
    count, marks, stats, centres = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8, copy=False), connectivity=8
    )
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest_px
    kept[0] = False
    if kept.sum() < count - 1:
        renumbered = np.zeros(count, np.int32)
        renumbered[kept] = np.arange(1, kept.sum() + 1)
        marks = renumbered[marks]
    return Areas(marks, stats[kept, cv2.CC_STAT_AREA], stats[kept, :4], centres[kept])


def class_areas(inspection: Inspection, class_name: str, policy: Policy) -> ClassAreas | None:
    """The areas of a class under the policy's threshold and smallest region; None without any.

    The probability is drawn smoothly from the model's grid before its border is cut, so that the
    border does not follow the grid's cells. Raises ValueError where the model has no mask of the
    class.
    """
    if inspection.masks is None or class_name not in inspection.mask_classes:
        known = ", ".join(inspection.mask_classes) or "none"
        raise ValueError(f"the bundle has no mask of class '{class_name}'; it has: {known}")
    grid = inspection.masks[inspection.mask_classes.index(class_name)]
    # Probabilities are kept in 8 bits: 0.2 is 51 of 255 and reaches a threshold of 0.2. At a
    # threshold of 0 what is called impossible stays out, and so does what the model did not see.
    least = max(1, round(policy.mask_threshold(class_name) * 255))
    window = _window(inspection, grid >= least)
    if window is None:
        return None
    left, top, right, bottom = window
    to_window = inspection.to_image - np.array([[0, 0, left], [0, 0, top]])
    size = (bottom - top, right - left)
    probability = map_to_image(grid, to_window, inspection.input_size, size)
    areas = connected_areas(probability >= least, policy.smallest_region_px)
    return ClassAreas(class_name, areas.moved(left, top), probability) if len(areas) else None


def class_mask(inspection: Inspection, class_name: str, policy: Policy) -> NDArray[np.bool_]:
    """(H, W) bool: the px of the image that the policy counts to the class; errors as
    `class_areas`."""
    mask = np.zeros(inspection.image_size, bool)
    found = class_areas(inspection, class_name, policy)
    if found is not None:
        areas = found.areas
        height, width = areas.marks.shape
        mask[areas.top : areas.top + height, areas.left : areas.left + width] = areas.marks > 0
    return mask


def _window(inspection: Inspection, cells: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (px of the image) around all that `cells` (h, w) of the grid can
    reach, a cell's neighbours included; None without any. Most pictures are mostly empty."""
    column, row, columns, rows = cv2.boundingRect(cells.view(np.uint8))
    if not columns:
        return None
    step = np.array(inspection.input_size[::-1]) / cells.shape[::-1]
    corners = np.array([[column - 1, row - 1], [column + columns + 1, row + rows + 1]]) * step
    corners = np.array([[x, y, 1] for x in corners[:, 0] for y in corners[:, 1]])
    on_image = corners @ inspection.to_image.T
    height, width = inspection.image_size
    low = np.clip(np.floor(on_image.min(0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(on_image.max(0)) + 1, 0, [width, height]).astype(int)
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
