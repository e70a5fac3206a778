"""Masks and regions as the viewer draws them: one outline per region, its measures beside it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.inspection import Inspection
from defectvision.inference.masks import Areas
from defectvision.inference.regions import Cut, Region

MOST_REGIONS = 200  # that can be chosen one by one; the smaller ones are drawn together
EXACT_SIDE = 2048  # px of the longer side up to which outlines follow the edges of single px


def mask_data(inspection: Inspection, cut: Cut) -> dict[str, Any]:
    """What the browser draws of a policy's `cut` of the masks: the classes with a mask, the defects
    without one, the regions, the largest first, and per class one outline of all that are not among
    the MOST_REGIONS."""
    tolerance = 0.0 if max(inspection.image_size) <= EXACT_SIDE else 0.75
    outlined: list[tuple[Region, str]] = []
    for drawn, regions in cut.classes:
        outlined += zip(regions, outline_paths(drawn.areas, tolerance), strict=True)
    outlined.sort(key=lambda pair: -pair[0].area_px)
    place = {name: i for i, name in enumerate(inspection.mask_classes)}
    counts, rest = [0] * len(place), [""] * len(place)
    for region, _ in outlined:
        counts[place[region.class_name]] += 1
    for region, path in outlined[MOST_REGIONS:]:
        rest[place[region.class_name]] += path
    line = inspection.line
    return {
        "line": line.name,
        "classes": [
            {"name": n, "title": line.title_of(n), "colour": line.colour_of(n), "count": counts[i]}
            for n, i in place.items()
        ],
        "without": line.unmasked(inspection.mask_classes),
        "regions": [
            {
                "class": place[region.class_name],
                "path": path,
                "box": [region.left_px, region.top_px, region.box_width_px, region.box_height_px],
                "area": [region.area_px, region.area_mm2],
                "length": [region.length_px, region.length_mm],
                "width": [region.width_px, region.width_mm],
                "x": region.x_px,
                "y": region.y_px,
                "probability": region.probability,
            }
            for region, path in outlined[:MOST_REGIONS]
        ],
        "rest": rest,
        "unlisted": max(0, len(outlined) - MOST_REGIONS),
    }


def outline_paths(areas: Areas, tolerance: float = 0.0) -> list[str]:
    """The SVG path of each area, its holes included, along the edges of its px: a single px at
    (3, 5) gives the square from (3, 5) to (4, 6). Above 0, `tolerance` px straighten it."""
    paths = [""] * len(areas)
    # OpenCV's outlines run through the centres of px. At twice the size an even coordinate is the
    # near half of a px and an odd one its far half, which tells the edge that is meant.
    doubled = np.repeat(np.repeat(areas.mask, 2, axis=0), 2, axis=1)
    outlines, _ = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for outline in outlines:
        x, y = outline[0, 0] // 2
        edges = (outline[:, 0] + 1) // 2
        if tolerance:
            edges = cv2.approxPolyDP(edges.reshape(-1, 1, 2), tolerance, True)[:, 0]
        paths[areas.marks[y, x] - 1] += _path(edges + np.array([areas.left, areas.top]))
    return paths


def _path(points: NDArray[np.integer]) -> str:
    moves = np.diff(points, axis=0)
    moves = moves[moves.any(1)]
    steps = " ".join(f"{x} {y}" for x, y in moves.tolist())
    return f"M{points[0, 0]} {points[0, 1]}l{steps}z" if steps else ""
