"""Whether a picture shows anything at all: asked on every line, whatever its bundle knows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 32  # a side of the grid of means in which structure is looked for
DARKEST, BRIGHTEST = 4, 251  # grey levels between which a mean is not cut off by the camera
LEAST_CELLS = 0.02  # share of the cells that must lie between them
# Times what grey levels and noise leave of a smooth surface. The plainest of 2,286 real castings,
# steel surfaces, tiles and strips lies at 1.8; of 3,000 frames drawn without structure one is
# above.
LEAST = 1.5
CLEAR = 12.0  # mean bend of the grid, in grey levels, that neither noise nor a gradient reaches
THINNED = 160  # px of the shorter side that are enough for that
NOISE_ROWS = 64

_y, _x = np.mgrid[:CELLS, :CELLS] / (CELLS - 1) * 2 - 1
_SURFACES = np.stack([np.ones_like(_x), _x, _y, _x * _x, _x * _y, _y * _y], -1).reshape(-1, 6)


def has_structure(image: NDArray[np.uint8]) -> bool:
    """Whether `image` (H, W) or (H, W, 3) RGB uint8 shows more than one grey or colour, a smooth
    gradient and a sensor's noise.

    A surface of the second degree is taken off the means of CELLS x CELLS cells; what is left must
    exceed what rounding and the noise, told by neighbouring pixels, leave of a cell's mean. In
    colour both the brightness and one of the channels must show it: a channel alone is what JPEG
    makes of noise, and brightness bends where a single channel is cut off.
    """
    if _bend(_mean_cells(_thinned(image))) > CLEAR:
        return True
    means = _mean_cells(image)
    colours = () if means.ndim == 2 else cv2.split(means)
    grey = cv2.cvtColor(means, cv2.COLOR_RGB2GRAY) if colours else means
    noise = _noise_of_mean(image)
    if not _stands_out(grey, noise):
        return False
    return not colours or any(_stands_out(colour, noise) for colour in colours)


def _thinned(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so many px of an image, and of its colours one: enough to see that it shows much."""
    step = max(1, min(image.shape[:2]) // THINNED)
    plane = image if image.ndim == 2 else image[:, :, 1]
    return np.ascontiguousarray(plane[::step, ::step])


def _mean_cells(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(image, (CELLS, CELLS), interpolation=cv2.INTER_AREA)


def _bend(means: NDArray[np.uint8]) -> float:
    """Mean size of the second difference."""
    return cv2.norm(cv2.Laplacian(means, cv2.CV_32F), cv2.NORM_L1) / means.size


def _stands_out(means: NDArray[np.uint8], noise: float) -> bool:
    """Whether the cells' `means` differ from a smooth surface by more than `noise`, the variance
    of one, explains."""
    values = means.astype(np.float64).ravel()
    whole = (values > DARKEST) & (values < BRIGHTEST)
    if whole.mean() < LEAST_CELLS:
        return False
    surfaces = _SURFACES[whole]
    squares = surfaces.T @ surfaces + 1e-9 * np.eye(surfaces.shape[1])
    surface = np.linalg.solve(squares, surfaces.T @ values[whole])
    left = float(np.square(values[whole] - surfaces @ surface).mean())
    return left > LEAST**2 * (1 + noise)


def _noise_of_mean(image: NDArray[np.uint8]) -> float:
    """Variance, in squared grey levels, that pixels as different as neighbours are give a mean of
    as many as lie in a cell."""
    plane = image if image.ndim == 2 else image[:, :, 1]
    rows = plane[:: max(1, len(plane) // NOISE_ROWS)].astype(np.int16)
    variance = float(np.square(rows[:, 2:] - rows[:, :-2]).mean(dtype=np.float64)) / 2
    return variance / max(1.0, plane.size / CELLS**2)
