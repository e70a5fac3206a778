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


@dataclass(frozen=True)
class Points:
    """Points of one picture, in no order.

    places: (n, 2) float32 x, y in px of the picture at SIDE; angles: (n,) degrees; sizes: (n,) px;
    strengths: (n,) how much they stand out; descriptors: (n, 128) uint8, RootSIFT times 256;
    scale: px at SIDE per px of the picture.
    """

    places: NDArray[np.float32]
    angles: NDArray[np.float32]
    sizes: NDArray[np.float32]
    strengths: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    scale: float


def as_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) of (H, W) or (H, W, 3) RGB."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def detect(grey: NDArray[np.uint8]) -> Points:
    """The points of a (H, W) uint8 picture."""
    working, scale = _resized(grey, SIDE)
    clahe = cv2.createCLAHE(3.0, (8, 8))
    sift = cv2.SIFT_create(POINTS, contrastThreshold=0.015)
    found, raw = sift.detectAndCompute(clahe.apply(working), None)
    if raw is None:
        raw = np.zeros((0, 128), np.float32)
    found, raw = found[:POINTS], raw[:POINTS]
    root = np.sqrt(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1e-6))
    told = np.array([(*p.pt, p.angle, p.size, p.response) for p in found], np.float32)
    x, y, angles, sizes, strengths = told.reshape(-1, 5).T
    descriptors = np.minimum(np.rint(root * 256), 255).astype(np.uint8)
    return Points(np.column_stack([x, y]), angles, sizes, strengths, descriptors, scale)


def extract(grey: NDArray[np.uint8]) -> Features:
    """The features of a (H, W) uint8 picture."""
    found = detect(grey)
    tiny, tiny_scale = _resized(grey, SMALL_SIDE)
    small = np.zeros((SMALL_SIDE, SMALL_SIDE), np.uint8)
    small[: tiny.shape[0], : tiny.shape[1]] = tiny
    points = (found.places + 0.5) * np.float32(tiny_scale / found.scale) - 0.5
    return Features(points, found.descriptors, small, tiny.shape)


def _resized(grey: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    height, width = grey.shape
    factor = side / max(height, width)
    size = (max(8, round(width * factor)), max(8, round(height * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return cv2.resize(grey, size, interpolation=way), factor
