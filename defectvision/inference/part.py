"""Find the outline of one round part, so that the model sees the part and not the table.

The finder looks for a dark elliptical core (the bore or the vanes) and, outwards from it,
for the ring that has the most edge along its way round. Both are searched in a copy of at
most 192 px, so the time does not depend on the size of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SEARCH_SIDE = 192
RAYS = 90
STEPS = 80
# The rim is searched between 1.2 and 2.6 times the radius of the core.
RotatedRect = tuple[tuple[float, float], tuple[float, float], float]  # centre, sides, degrees
REACH = np.linspace(1.2, 2.6, STEPS, dtype=np.float32)
ANGLES = np.linspace(0, 2 * np.pi, RAYS, endpoint=False, dtype=np.float32)
# A rim whose centre is shifted against the core is a wave along the rays: all the waves tried.
_WAVE = np.arange(-12, 13, 3)
_SHIFTS = np.round(
    np.outer(np.repeat(_WAVE, len(_WAVE)), np.cos(ANGLES))
    + np.outer(np.tile(_WAVE, len(_WAVE)), np.sin(ANGLES))
).astype(int)
_FARTHEST = int(np.abs(_SHIFTS).max())
EDGE_FULL = 25.0  # Sobel response, in grey levels, at which an edge counts in full
EDGE_LEAST = 0.12  # share of EDGE_FULL below which a ray has no edge
ON_OUTLINE = 0.03  # share of the radius within which an edge point lies on the ellipse
LEAST_SUPPORT = 0.6  # share of the rays whose edge must lie on the ellipse


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in image px: centre, semi-axes, rotation of the first axis in radians."""

    x: float
    y: float
    semi_a: float
    semi_b: float
    angle: float

    def radius_of(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Radius of (N, 2) points relative to the outline: 1 on it, below 1 inside."""
        d = points - np.array([self.x, self.y])
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.hypot(
            (d[:, 0] * cos + d[:, 1] * sin) / self.semi_a,
            (-d[:, 0] * sin + d[:, 1] * cos) / self.semi_b,
        )

    def scaled(self, factor: float) -> Ellipse:
        """The same ellipse in an image resized by `factor` (pixel centres stay aligned)."""
        return Ellipse(
            (self.x + 0.5) * factor - 0.5,
            (self.y + 0.5) * factor - 0.5,
            self.semi_a * factor,
            self.semi_b * factor,
            self.angle,
        )


def find_round_part(grey: NDArray[np.uint8]) -> Ellipse | None:
    """The outline of the round part in `grey` (H, W), or None where no outline is sure enough."""
    height, width = grey.shape
    factor = SEARCH_SIDE / max(height, width)
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    best, best_support = None, LEAST_SUPPORT
    for core in _dark_cores(small)[:2]:
        outline, support = _rim_around(small, core)
        if outline is not None and support > best_support:
            best, best_support = outline, support
    return best.scaled(1 / factor) if best is not None else None


def _ellipse(
    points: NDArray[np.float32],
    fit: Callable[[NDArray[np.float32]], RotatedRect] = cv2.fitEllipseAMS,
) -> Ellipse | None:
    (x, y), (a, b), degrees = fit(points)
    if not np.isfinite([x, y, a, b]).all() or min(a, b) < 2:
        return None
    return Ellipse(x, y, a / 2, b / 2, float(np.deg2rad(degrees)))


def _dark_cores(small: NDArray[np.uint8]) -> list[Ellipse]:
    """Dark elliptical blobs near the middle, the best fitting first."""
    height, width = small.shape
    middle = np.ascontiguousarray(small[height // 4 : -height // 4, width // 4 : -width // 4])
    otsu, _ = cv2.threshold(middle, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    found: list[tuple[float, Ellipse]] = []
    for share in (1.0, 0.75, 0.55):
        dark = cv2.morphologyEx((small < otsu * share).astype(np.uint8), cv2.MORPH_OPEN, kernel)
        contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            hull = cv2.convexHull(contour)
            if len(contour) < 20 or len(hull) < 5:
                continue
            core = _ellipse(hull, cv2.fitEllipse)
            if core is None:
                continue
            area = np.pi * core.semi_a * core.semi_b / (height * width)
            off_centre = np.hypot(core.x - width / 2, core.y - height / 2) / width
            flat = min(core.semi_a, core.semi_b) < 0.4 * max(core.semi_a, core.semi_b)
            if not 0.02 <= area <= 0.4 or flat or off_centre > 0.2:
                continue
            misfit = np.abs(core.radius_of(hull[:, 0]) - 1).mean()
            found.append((float(misfit + 0.1 * off_centre), core))
    return [core for _, core in sorted(found, key=lambda pair: pair[0])]


def _rim_around(small: NDArray[np.uint8], core: Ellipse) -> tuple[Ellipse | None, float]:
    """The rim outside `core`, and the share of the rays whose edge lies on it."""
    height, width = small.shape
    cos, sin = np.cos(core.angle), np.sin(core.angle)
    ux, uy = core.semi_a * np.cos(ANGLES), core.semi_b * np.sin(ANGLES)
    x = (core.x + np.outer(ux * cos - uy * sin, REACH)).astype(np.float32)
    y = (core.y + np.outer(ux * sin + uy * cos, REACH)).astype(np.float32)
    rays = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edge = np.abs(cv2.Sobel(rays, cv2.CV_32F, 1, 0, ksize=3))
    edge[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = 0
    edge = np.minimum(edge, EDGE_FULL) / EDGE_FULL

    row = np.arange(RAYS)
    # For every wave (shift of each ray) and ring the mean edge along its way round.
    wide = np.pad(cv2.dilate(edge, np.ones((1, 3))), ((0, 0), (_FARTHEST, _FARTHEST)), mode="edge")
    shifted = np.lib.stride_tricks.sliding_window_view(wide, STEPS, axis=1)
    score = shifted[row, _SHIFTS + _FARTHEST].mean(axis=1)
    score *= 1 + 0.4 * np.linspace(0, 1, STEPS)  # of two good rings the outer one is the rim
    shift, ring = divmod(int(score.argmax()), STEPS)
    window = np.clip((ring + _SHIFTS[shift])[:, None] + np.arange(-5, 6), 0, STEPS - 1)
    step = window[row, edge[row[:, None], window].argmax(axis=1)]
    has_edge = edge[row, step] > EDGE_LEAST
    if has_edge.mean() < 0.4:
        return None, 0.0
    points = np.stack([x[row, step], y[row, step]], axis=1)[has_edge]

    outline = _ellipse(points)
    for _ in range(2):  # without the points that lie farthest from it
        if outline is None:
            return None, 0.0
        distance = np.abs(outline.radius_of(points) - 1)
        outline = _ellipse(points[distance <= max(0.02, np.percentile(distance, 70))])
    if outline is None:
        return None, 0.0
    distance = np.abs(outline.radius_of(points) - 1)
    return outline, float((distance < ON_OUTLINE).sum() / RAYS)
