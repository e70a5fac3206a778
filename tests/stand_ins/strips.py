"""Grey pictures whose defects the stand-ins with masks find to the px."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def encoded(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def steel(height: int = 256, width: int = 1600) -> NDArray[np.uint8]:
    """A strip without a defect: bands that the rolls left, and grain."""
    grain = np.random.default_rng(0).integers(-3, 4, (height, width))
    bands = 6 * np.sin(np.arange(width) * 2 * np.pi / 400)
    return (128 + bands + grain).round().astype(np.uint8)


def strip_with() -> NDArray[np.uint8]:
    """A strip of 1600 x 256 px: a plate of class 3 (100 x 40 px at 200, 40), a slit of class 2
    (10 x 90 px), a pit of class 1 (11 x 11 px) and a speck of class 1 (3 x 3 px)."""
    image = steel()
    image[40:80, 200:300] = 200
    image[120:210, 900:910] = 40
    image[100:111, 1300:1311] = 72
    image[30:33, 1500:1503] = 72
    return image
