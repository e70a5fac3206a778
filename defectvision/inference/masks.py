"""The mask of a class on the image's own pixels, as the policy draws its border."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.inference.frame import Frame
from defectvision.inference.zones import covered


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


def class_areas(
    grid: NDArray[np.uint8], frame: Frame, class_name: str, policy: Policy
) -> ClassAreas | None:
    """The areas of a class under the policy's threshold and smallest region; None without any.

    grid: (h, w) probability x 255 that a place belongs to the class. It is drawn smoothly over
    the image before its border is cut, so that the border does not follow the grid's cells. What
    the policy's zones ignore is left out.
    """
    # Probabilities are kept in 8 bits: 0.2 is 51 of 255 and reaches a threshold of 0.2. At a
    # threshold of 0 what is called impossible stays out, and so does what the model did not see.
    least = max(1, round(policy.mask_threshold(class_name) * 255))
    window = _window(frame, grid >= least)
    if window is None:
        return None
    seen = frame.window(*window)
    probability = seen.on_image(grid)
    if ignored := [zone for zone in policy.zones if zone.ignored]:
        probability[covered(ignored, seen)] = 0
    areas = connected_areas(probability >= least, policy.smallest_region_px)
    return ClassAreas(class_name, areas.moved(*window[:2]), probability) if len(areas) else None


def mask_of(cut: ClassAreas | None, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the px of an image of `image_size` that lie on the areas of a class."""
    mask = np.zeros(image_size, bool)
    if cut is not None:
        height, width = cut.areas.marks.shape
        rows = slice(cut.areas.top, cut.areas.top + height)
        columns = slice(cut.areas.left, cut.areas.left + width)
        mask[rows, columns] = cut.areas.marks > 0
    return mask


def _window(frame: Frame, cells: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom (px of the image) around all that `cells` (h, w) of the grid can
    reach, a cell's neighbours included; None without any. Most pictures are mostly empty."""
    column, row, columns, rows = cv2.boundingRect(cells.view(np.uint8))
    if not columns:
        return None
    step = np.array(frame.input_size[::-1]) / cells.shape[::-1]
    corners = np.array([[column - 1, row - 1], [column + columns + 1, row + rows + 1]]) * step
    corners = np.array([[x, y, 1] for x in corners[:, 0] for y in corners[:, 1]])
    on_image = corners @ frame.to_image.T
    height, width = frame.image_size
    low = np.clip(np.floor(on_image.min(0)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(on_image.max(0)) + 1, 0, [width, height]).astype(int)
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
