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
_LEVELS = np.arange(256)
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
    mask = None if placed.inside.all() else placed.inside
    window = grey if mask is None else np.ascontiguousarray(grey[_window(mask)])
    # All of the part for its grey levels, what of it is rectangular for its texture.
    seen = None if mask is None else mask.view(np.uint8)
    counts = cv2.calcHist([grey], [0], seen, [256], [0, 256]).ravel().astype(np.float64)
    counts /= max(1.0, counts.sum())
    level = float(counts @ _LEVELS)
    contrast = float(np.sqrt(counts @ np.square(_LEVELS - level)))
    clipped, dark = float(counts[CLIPPED_FROM:].sum()), float(counts[:DARK_BELOW].sum())
    quantiles = np.searchsorted(np.cumsum(counts), SHARES).astype(np.float64)
    energies = _energies(window)
    by_octave = energies.mean(1)
    blocks = np.sort(_blocks(window))
    aspect = 0.0 if round_part else np.log(size[0] / size[1])
    values = np.concatenate(
        [
            [level, contrast, clipped, dark],
            quantiles,
            (quantiles - level) / max(contrast, 2.0),
            energies.ravel(),
            (energies - np.log(contrast + 0.5)).ravel(),
            [np.searchsorted(blocks, FLAT) / len(blocks), aspect],
            np.log(blocks[[len(blocks) // 2, len(blocks) // 20]] + 0.25),
        ]
    )
    (xx, xy), (yx, yy) = placed.to_image[:, :2].tolist()
    scale = float(np.sqrt(abs(xx * yy - xy * yx)))
    sharpness = float(by_octave[0] - by_octave[3])
    return PictureStatistics(level, contrast, clipped, dark, sharpness, scale, values)


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of a (H, W) mask: of a rectangle all of it, of a circle the square
    within. Told by the lines through the middle, as both lie about it."""
    height, width = mask.shape
    top, bottom = _ends(mask[:, width // 2])
    left, right = _ends(mask[height // 2])
    if not (mask[top, left] and mask[top, right - 1] and mask[bottom - 1, left]):
        rows, columns = (
            round(side * (1 - np.sqrt(0.5)) / 2) + 1 for side in (bottom - top, right - left)
        )
        top, bottom, left, right = top + rows, bottom - rows, left + columns, right - columns
    return slice(top, bottom), slice(left, right)


def _ends(line: NDArray[np.bool_]) -> tuple[int, int]:
    """From and to where a line (N,) is True; all of it where nowhere."""
    return int(line.argmax()), len(line) - int(line[::-1].argmax())


def _energies(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(OCTAVES, 2) log of the root mean square difference of neighbours across and down, in the
    picture and in ever halved copies of it."""
    found = np.empty((OCTAVES, 2))
    for octave in range(OCTAVES):
        if octave:
            size = max(4, grey.shape[1] // 2), max(4, grey.shape[0] // 2)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        across = cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L2)
        down = cv2.norm(grey[1:], grey[:-1], cv2.NORM_L2)
        height, width = grey.shape
        found[octave, 0] = across / np.sqrt(height * (width - 1))
        found[octave, 1] = down / np.sqrt((height - 1) * width)
    return np.log(found + 0.25)


def _blocks(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N,) standard deviation, in grey levels, of each block of the halved picture."""
    height, width = (max(1, side // (2 * BLOCK)) for side in grey.shape)
    size = (width * BLOCK, height * BLOCK)
    halved = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    means = cv2.resize(halved, (width, height), interpolation=cv2.INTER_AREA)
    squares = cv2.resize(halved * halved, (width, height), interpolation=cv2.INTER_AREA)
    return np.sqrt(np.maximum(squares - means * means, 0)).ravel()
