"""Connected defect areas and their measures, in px and, where the scale is known, in mm."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.bundle.rules import Zone
from defectvision.inference.frame import Frame
from defectvision.inference.masks import Areas, ClassAreas, class_areas
from defectvision.inference.zones import covered


@dataclass(frozen=True)
class Region:
    """One connected area of a class.

    length_px and width_px: sides of the smallest rectangle around it, at any angle; x_px, y_px:
    its centroid, pixel centres on whole numbers; left_px to height_px: its upright box;
    probability: the mean over its px; mm_per_px: the picture's scale, None where it is unknown;
    zones: names of the policy's zones that it reaches into, be it with a single px.
    """

    class_name: str
    area_px: int
    length_px: float
    width_px: float
    x_px: float
    y_px: float
    left_px: int
    top_px: int
    box_width_px: int
    box_height_px: int
    probability: float
    mm_per_px: float | None = None
    zones: tuple[str, ...] = ()

    @property
    def area_mm2(self) -> float | None:
        return None if self.mm_per_px is None else self.area_px * self.mm_per_px**2

    @property
    def length_mm(self) -> float | None:
        return None if self.mm_per_px is None else self.length_px * self.mm_per_px

    @property
    def width_mm(self) -> float | None:
        return None if self.mm_per_px is None else self.width_px * self.mm_per_px

    def as_json(self) -> dict[str, Any]:
        """The region as machines read it; the mm are null without a scale."""
        return {
            "class": self.class_name,
            "area_px": self.area_px,
            "length_px": round(self.length_px, 2),
            "width_px": round(self.width_px, 2),
            "x_px": round(self.x_px, 2),
            "y_px": round(self.y_px, 2),
            "box_px": [self.left_px, self.top_px, self.box_width_px, self.box_height_px],
            "probability": round(self.probability, 4),
            "area_mm2": _rounded(self.area_mm2),
            "length_mm": _rounded(self.length_mm),
            "width_mm": _rounded(self.width_mm),
            "zones": list(self.zones),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def rectangle_sides(areas: Areas) -> NDArray[np.float64]:
    """(N, 2): the longer and the shorter side, in px, of the smallest rectangle around each area.

    From pixel edge to pixel edge, so that a single px is 1 x 1.
    """
    sides = np.ones((len(areas), 2))
    # An outer outline has no parent, also where its area lies in the hole of another.
    outlines, tree = cv2.findContours(areas.mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for number, outline in enumerate(outlines):
        if tree[0][number][3] >= 0:
            continue
        x, y = outline[0, 0]
        # About a corner of its own: far from the origin single precision costs digits.
        across, down = cv2.minAreaRect(outline - outline[:1])[1]
        sides[areas.marks[y, x] - 1] = max(across, down) + 1, min(across, down) + 1
    return sides


def measure(
    cut: ClassAreas, frame: Frame, zones: Iterable[Zone] = (), mm_per_px: float | None = None
) -> list[Region]:
    """One region for each area, in the areas' order."""
    areas = cut.areas
    reached = _zones_of(areas, frame, zones)
    on = areas.marks > 0
    sums = np.bincount(areas.marks[on], cut.probability[on], len(areas) + 1)[1:]
    means = sums / areas.area_px / 255
    sides = rectangle_sides(areas)
    return [
        Region(
            cut.class_name,
            int(areas.area_px[i]),
            float(sides[i, 0]),
            float(sides[i, 1]),
            float(areas.centres[i, 0]),
            float(areas.centres[i, 1]),
            int(areas.boxes[i, 0]),
            int(areas.boxes[i, 1]),
            int(areas.boxes[i, 2]),
            int(areas.boxes[i, 3]),
            float(means[i]),
            mm_per_px,
            reached[i],
        )
        for i in range(len(areas))
    ]


def _zones_of(areas: Areas, frame: Frame, zones: Iterable[Zone]) -> list[tuple[str, ...]]:
    """For each area the names of the zones that it reaches into."""
    height, width = areas.marks.shape
    window = frame.window(areas.left, areas.top, areas.left + width, areas.top + height)
    reached: list[tuple[str, ...]] = [()] * len(areas)
    for zone in zones:
        for mark in np.unique(areas.marks[covered([zone], window)]):
            if mark:
                reached[mark - 1] += (zone.name,)
    return reached


@dataclass(frozen=True)
class Cut:
    """What a policy cuts out of the masks of one image: each class that has an area, and its
    regions in the areas' order."""

    classes: tuple[tuple[ClassAreas, tuple[Region, ...]], ...] = ()

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of all classes, the largest first."""
        found = (region for _, regions in self.classes for region in regions)
        return tuple(sorted(found, key=lambda region: -region.area_px))

    def scaled(self, mm_per_px: float | None) -> Cut:
        """The same cut of a picture of another scale."""
        return Cut(tuple((areas, scaled(regions, mm_per_px)) for areas, regions in self.classes))


def scaled(regions: tuple[Region, ...], mm_per_px: float | None) -> tuple[Region, ...]:
    """The same regions in a picture of another scale."""
    return tuple(replace(region, mm_per_px=mm_per_px) for region in regions)


def cut_masks(grids: Mapping[str, NDArray[np.uint8]], frame: Frame, policy: Policy) -> Cut:
    """What the policy cuts; grids: by class the (h, w) probability x 255 that a place belongs to
    it."""
    classes = (class_areas(grid, frame, name, policy) for name, grid in grids.items())
    zones = [zone for zone in policy.zones if not zone.ignored]
    return Cut(
        tuple(
            (areas, tuple(measure(areas, frame, zones, policy.mm_per_px)))
            for areas in classes
            if areas is not None
        )
    )


def cut_of(policy: Policy, mask_classes: tuple[str, ...]) -> str:
    """What of a policy decides where regions end; the same text cuts the same regions."""
    if not mask_classes:
        return ""
    levels = [policy.mask_threshold(name) for name in mask_classes]
    zones = [zone.model_dump() for zone in policy.zones]
    return json.dumps([policy.smallest_region_px, *levels, *zones])
