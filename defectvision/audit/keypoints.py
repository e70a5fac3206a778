"""Local features that survive turning, mirroring, stretching and another lamp.

SIFT (Lowe 2004) as RootSIFT (Arandjelovic and Zisserman 2012) on a locally equalised picture.
SIFT describes each point in its own orientation, so turning the picture changes nothing, and
mirroring it only reorders the descriptor's bins: one extraction serves both.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 320  # px of the longer side, where points are found
POINTS = 256
SMALL_SIDE = 160  # px of the copy that is compared grey level by grey level


def _mirror_order() -> NDArray[np.intp]:
    """Where each of the 4 x 4 x 8 bins of a descriptor goes in the mirrored picture."""
    bins = np.arange(128).reshape(4, 4, 8)
    return bins[::-1][:, :, (-np.arange(8)) % 8].ravel()


MIRROR = _mirror_order()


@dataclass(frozen=True)
class Features:
    """Points and a small copy of one picture.

    points: (n, 2) float32 x, y in px of the small copy; descriptors: (n, 128) uint8, RootSIFT
    times 256; small: (SMALL_SIDE, SMALL_SIDE) uint8, the picture in its upper left corner;
    size: (height, width) of that part.
    """

    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    small: NDArray[np.uint8]
    size: tuple[int, int]


def extract(grey: NDArray[np.uint8]) -> Features:
    """The features of a (H, W) uint8 picture."""
    working, scale = _resized(grey, SIDE)
    clahe = cv2.createCLAHE(3.0, (8, 8))
    sift = cv2.SIFT_create(POINTS, contrastThreshold=0.015)
    found, raw = sift.detectAndCompute(clahe.apply(working), None)
    tiny, tiny_scale = _resized(grey, SMALL_SIDE)
    small = np.zeros((SMALL_SIDE, SMALL_SIDE), np.uint8)
    small[: tiny.shape[0], : tiny.shape[1]] = tiny
    if raw is None:
        return Features(
            np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8), small, tiny.shape
        )
    found, raw = found[:POINTS], raw[:POINTS]
    root = np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-6))
    points = np.array([p.pt for p in found], np.float32).reshape(-1, 2)
    points = (points + 0.5) * np.float32(tiny_scale / scale) - 0.5
    return Features(
        points, np.minimum(np.rint(root * 256), 255).astype(np.uint8), small, tiny.shape
    )


def _resized(grey: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    height, width = grey.shape
    factor = side / max(height, width)
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(grey, size, interpolation=way), factor
