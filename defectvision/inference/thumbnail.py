"""A small picture of an image, for tables."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIDE = 64  # px, twice its size in the table: screens with two pixels per px
QUALITY = 80


def fit(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """`image` scaled down, where needed, to at most `longest` px on its longer side."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def small_jpeg(image: NDArray[np.uint8]) -> bytes:
    """`image` (H, W) or (H, W, 3) RGB as a JPEG of at most THUMBNAIL_SIDE px."""
    small = fit(image, THUMBNAIL_SIDE)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
