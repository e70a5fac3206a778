"""A small picture of an image, for tables."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.frame import shrunk_size

THUMBNAIL_SIDE = 64  # px, twice its size in the table: screens with two pixels per px
QUALITY = 80


def fit(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """`image` scaled down, where needed, to at most `longest` px on its longer side."""
    size = shrunk_size(image.shape[:2], longest)
    if size == image.shape[:2]:
        return image
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def small_jpeg(image: NDArray[np.uint8], longest: int = THUMBNAIL_SIDE) -> bytes:
    """`image` (H, W) or (H, W, 3) RGB as a JPEG of at most `longest` px on its longer side."""
    small = fit(image, longest)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
