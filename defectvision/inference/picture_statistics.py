"""What the model's view of a picture looks like in numbers: brightness, contrast, sharpness and
texture. The gate compares them with those of the images that were learned."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.preprocessing import Placed

OCTAVES = 6
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # of the pixels below a grey level
CLIPPED_FROM, DARK_BELOW = 254, 6  # grey levels
BLOCK = 4  # px of the halved picture
FLAT = 2.0  # grey levels: standard deviation of a block without anything on it
COUNT = 4 + 2 * len(SHARES) + 4 * OCTAVES + 4


@dataclass(frozen=True)
class PictureStatistics:
    """Of the part, where one is found, else of the whole picture, as it is placed for the model.

    level, contrast: mean and standard deviation of the grey levels; clipped, dark: share of the
    pixels that are white and black; sharpness: log of the differences between neighbouring px
    against those over eight px; scale: px of the image per px of the model's input; all: (COUNT,)
    float64, these but for the scale, and what else tells pictures apart.
    """

    level: float
    contrast: float
    clipped: float
    dark: float
    sharpness: float
    scale: float
    all: NDArray[np.float64]


def picture_statistics(
    placed: Placed, size: tuple[int, int], round_part: bool
) -> PictureStatistics:
    """Of a picture of `size` (height, width) px. round_part: the aspect ratio is the table's then,
    and says nothing."""
    grey = placed.pixels
    if grey.ndim == 3:
        grey = cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY)
    mask = None if placed.inside.all() else placed.inside.view(np.uint8)
    counts = cv2.calcHist([grey], [0], mask, [256], [0, 256]).ravel().astype(np.float64)
    counts /= max(1.0, counts.sum())
    levels = np.arange(256)
    level = float(counts @ levels)
    contrast = float(np.sqrt(counts @ np.square(levels - level)))
    clipped, dark = float(counts[CLIPPED_FROM:].sum()), float(counts[:DARK_BELOW].sum())
    quantiles = np.searchsorted(np.cumsum(counts), SHARES).astype(np.float64)
    energies = _energies(grey, mask)
    by_octave = energies.mean(1)
    blocks = _blocks(grey, mask)
    aspect = 0.0 if round_part else np.log(size[0] / size[1])
    values = np.concatenate(
        [
            [level, contrast, clipped, dark],
            quantiles,
            (quantiles - level) / max(contrast, 2.0),
            energies.ravel(),
            (energies - np.log(contrast + 0.5)).ravel(),
            [float((blocks < FLAT).mean()), aspect],
            np.log(np.percentile(blocks, (50, 5)) + 0.25),
        ]
    )
    scale = float(np.sqrt(abs(np.linalg.det(placed.to_image[:, :2]))))
    sharpness = float(by_octave[0] - by_octave[3])
    return PictureStatistics(level, contrast, clipped, dark, sharpness, scale, values)


def _energies(grey: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> NDArray[np.float64]:
    """(OCTAVES, 2) log of the root mean square difference of neighbours across and down, in the
    picture and in ever halved copies of it."""
    found = np.empty((OCTAVES, 2))
    for octave in range(OCTAVES):
        if octave:
            height, width = (max(4, side // 2) for side in grey.shape)
            if mask is not None:
                mask = np.ascontiguousarray(mask[::2, ::2][:height, :width])
            grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
        for axis, here, there in (
            (0, np.s_[:, 1:], np.s_[:, :-1]),
            (1, np.s_[1:], np.s_[:-1]),
        ):
            if mask is None:
                total, count = cv2.norm(grey[here], grey[there], cv2.NORM_L2), grey[here].size
            else:
                both = cv2.bitwise_and(mask[here], mask[there])
                total = cv2.norm(grey[here], grey[there], cv2.NORM_L2, both)
                count = max(1, cv2.countNonZero(both))
            found[octave, axis] = np.log(np.sqrt(total * total / count) + 0.25)
    return found


def _blocks(grey: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """(N,) standard deviation, in grey levels, of each block of the halved picture on the part."""
    height, width = (side // (2 * BLOCK) for side in grey.shape)
    size = (width * BLOCK, height * BLOCK)
    halved = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    means = cv2.resize(halved, (width, height), interpolation=cv2.INTER_AREA)
    squares = cv2.resize(halved * halved, (width, height), interpolation=cv2.INTER_AREA)
    spreads = np.sqrt(np.maximum(squares - means * means, 0))
    if mask is None:
        return spreads.ravel()
    cover = cv2.resize(mask * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA)
    within = spreads[cover >= 252]
    return within if within.size else spreads.ravel()
