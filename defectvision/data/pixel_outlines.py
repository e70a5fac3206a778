"""Outlines of masks along the edges of their pixels, for formats that know polygons alone."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]  # x, y
RIGHT_OF = {(1, 0): (0, 1), (0, 1): (-1, 0), (-1, 0): (0, -1), (0, -1): (1, 0)}


def pixel_outlines(mask: NDArray[np.bool_]) -> list[list[int]]:
    """A polygon [x, y, x, y, ...] in px around each 4-connected area of a mask (H, W).

    A hole hangs by a line without width, so that drawing the polygons gives the mask again.
    """
    count, marks, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    found = []
    for number in range(1, count):
        left, top, width, height, _ = stats[number].tolist()
        area = marks[top : top + height, left : left + width] == number
        corners = _bent(_joined(_loops(area)))
        found.append([side for x, y in corners for side in (x + left, y + top)])
    return found


def _loops(area: NDArray[np.bool_]) -> list[list[Corner]]:
    """The closed ways around an area and its holes, px edge by px edge, the area on their right."""
    padded = np.pad(area, 1)
    here = padded[1:-1, 1:-1]
    beside = {
        (1, 0): (~padded[:-2, 1:-1], (0, 0)),  # along the upper edge
        (0, 1): (~padded[1:-1, 2:], (1, 0)),
        (-1, 0): (~padded[2:, 1:-1], (1, 1)),
        (0, -1): (~padded[1:-1, :-2], (0, 1)),
    }
    edges: dict[Corner, set[Corner]] = {}
    for step, (free, (dx, dy)) in beside.items():
        for y, x in np.argwhere(here & free).tolist():
            edges.setdefault((x + dx, y + dy), set()).add(step)
    loops = []
    while edges:
        start = at = min(edges)
        step = min(edges[at])
        loop: list[Corner] = []
        while True:
            edges[at].remove(step)
            if not edges[at]:
                del edges[at]
            loop.append(at)
            at = (at[0] + step[0], at[1] + step[1])
            ways = edges.get(at, set())
            if at == start and RIGHT_OF[step] not in ways:
                break
            # Where two px touch by a corner, the way stays at its own.
            step = RIGHT_OF[step] if RIGHT_OF[step] in ways else min(ways)
        loops.append(loop)
    return loops


def _joined(loops: list[list[Corner]]) -> list[Corner]:
    """One closed way: each hole, from its leftmost corner, hangs at what lies left of it."""
    outer, *holes = sorted(loops, key=min)
    for hole in holes:
        x, y = corner = min(hole)
        reached = max(px for px, py in outer if py == y and px <= x)
        place = outer.index((reached, y))
        first = hole.index(corner)
        ring = [*hole[first:], *hole[:first], corner]
        outer = [*outer[: place + 1], *ring, *outer[place:]]
    return outer


def _bent(corners: list[Corner]) -> list[Corner]:
    """Without the corners at which the way goes straight on."""
    closed = [corners[-1], *corners, corners[0]]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(closed)]
    return [
        corner
        for corner, (before, after) in zip(corners, pairwise(steps), strict=True)
        if before[0] * after[1] != before[1] * after[0]
        or before[0] * after[0] + before[1] * after[1] < 0
    ]
