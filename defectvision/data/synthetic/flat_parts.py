"""Drawn flat parts whose defects are known to the px: magnetic tiles and cold-rolled strips.

Each drawing is an image with the mask of every class on it. They resemble the published sets
(Huang et al., magnetic tile; Severstal's steel strips) in size, light and kind of defect, no more.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.data.synthetic.textures import Grey, curve, noise, over

Masks = dict[str, NDArray[np.bool_]]
MaskedDraw = Callable[[np.random.Generator, int], tuple[Grey, Masks]]
# From height and width: grey level, and how opaque the defect is, (H, W) 0..1.
StripDefect = Callable[[np.random.Generator, int, int], tuple[Grey | np.float32, Grey]]
STRIP_ASPECT = 6.25  # width over height of a strip: 1600 x 256 px
BORDER = 0.35  # how opaque a defect must be for a px to belong to its mask


def tile(label: str) -> MaskedDraw:
    """A ground magnetic tile of about `size` px; each drawing has sides of its own."""

    def drawn(rng: np.random.Generator, size: int) -> tuple[Grey, Masks]:
        height, width = (max(32, int(size * rng.uniform(0.7, 1.3))) for _ in range(2))
        image = _ground(rng, height, width)
        if label == "free":
            return _grain(rng, image), {}
        cover = _TILE_DEFECTS[label](rng, height, width)
        if label == "uneven":
            lit = image * rng.choice([0.72, 1.35])
        elif label == "fray":
            lit = image.mean() * 0.6 + 3 * noise(rng, (height, width), 3, 3)
        else:
            lit = image * (0.25 if label != "break" else 0.45)
        return _grain(rng, over(image, lit, cover)), {label: cover > BORDER}

    return drawn


def strip(label: str) -> MaskedDraw:
    """A strip of `size` px height with one defect class ("1" to "4"), or clean (an empty label)."""

    def drawn(rng: np.random.Generator, size: int) -> tuple[Grey, Masks]:
        height, width = size, round(size * STRIP_ASPECT)
        image = _rolled(rng, height, width)
        if not label:
            return _grain(rng, image), {}
        level, cover = _STRIP_DEFECTS[label](rng, height, width)
        return _grain(rng, over(image, level, cover)), {label: cover > BORDER}

    return drawn


def _grain(rng: np.random.Generator, image: Grey) -> Grey:
    return image + rng.normal(0, 3, image.shape).astype(np.float32)


def _ground(rng: np.random.Generator, height: int, width: int) -> Grey:
    """Grinding lines along the tile, dark towards its sides."""
    lines = np.repeat(rng.normal(0, 1, (1, width)).astype(np.float32), height, axis=0)
    image = rng.uniform(75, 120) + 5 * lines + 4 * noise(rng, (height, width), 1, 18)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    bulge = 1 - rng.uniform(0.2, 0.5) * np.abs(across - rng.uniform(-0.3, 0.3)) ** 3
    return image * bulge + 6 * noise(rng, (height, width), 40, 60)


def _rolled(rng: np.random.Generator, height: int, width: int) -> Grey:
    """A rolled strip under one lamp: brighter towards a place, speckled, with faint streaks."""
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    lamp = rng.uniform(-0.8, 0.8)
    image = rng.uniform(112, 138) + 14 * np.exp(-(((columns - lamp) / 0.5) ** 2))
    image = image + 4 * noise(rng, (height, width), 25, 25)
    image = image + 3 * noise(rng, (height, width), 1.5, 40) + 4 * noise(rng, (height, width), 1, 1)
    return image.astype(np.float32)


def _blob(
    rng: np.random.Generator,
    height: int,
    width: int,
    at: tuple[float, float],
    reach: tuple[float, float],
    ragged: float = 0.25,
) -> Grey:
    """(H, W) 0..1: a ragged round area about `at` (x, y) that reaches (across, down) px."""
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    bumps = sum(
        rng.normal(0, ragged / n) * np.cos(n * turn + rng.uniform(0, 2 * np.pi))
        for n in range(2, 7)
    )
    radius = np.maximum(1 + bumps, 0.3)
    points = np.stack(
        [at[0] + reach[0] * radius * np.cos(turn), at[1] + reach[1] * radius * np.sin(turn)], 1
    )
    cover = np.zeros((height, width), np.float32)
    # fixed point of 4 bits: an area of two px still has a shape
    cv2.fillPoly(cover, [np.rint(points * 16).astype(np.int32)], 1.0, cv2.LINE_8, 4)
    return cv2.GaussianBlur(cover, (0, 0), 0.6)


def _line(
    rng: np.random.Generator, height: int, width: int, wide: float, steps: int, angle: float
) -> Grey:
    """(H, W) 0..1: a walking line of about `wide` px."""
    start = (rng.uniform(0.1, 0.9) * width, rng.uniform(0, 0.3) * height)
    points = curve(rng, max(60, height), start, angle, steps)
    cover = np.zeros((height, width), np.uint8)
    cv2.polylines(cover, [points], False, 255, max(1, round(wide)), cv2.LINE_AA)
    return cover.astype(np.float32) / np.float32(255)


def _blowhole(rng: np.random.Generator, height: int, width: int) -> Grey:
    at = rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height
    return _blob(rng, height, width, at, (rng.uniform(2, 5), rng.uniform(3, 9)))


def _break(rng: np.random.Generator, height: int, width: int) -> Grey:
    """A piece missing at the upper or lower edge."""
    at = rng.uniform(0, 1) * width, float(rng.choice([0, height - 1]))
    return _blob(rng, height, width, at, (rng.uniform(0.06, 0.16) * width, rng.uniform(8, 22)))


def _crack(rng: np.random.Generator, height: int, width: int) -> Grey:
    down = rng.normal(np.pi / 2, 0.25)
    return _line(rng, height, width, rng.uniform(2, 4), int(rng.integers(10, 40)), down)


def _fray(rng: np.random.Generator, height: int, width: int) -> Grey:
    at = rng.uniform(0.25, 0.75) * width, rng.uniform(0.25, 0.75) * height
    reach = rng.uniform(0.1, 0.25) * width, rng.uniform(0.12, 0.3) * height
    return _blob(rng, height, width, at, reach, 0.12)


def _uneven(rng: np.random.Generator, height: int, width: int) -> Grey:
    """A band across the tile's end that was ground in another pass."""
    edge = rng.uniform(0.12, 0.3) * height + np.cumsum(rng.normal(0, 0.25, width))
    rows = np.arange(height)[:, None]
    band = (rows < edge[None, :]).astype(np.float32)
    return band if rng.random() < 0.5 else band[::-1].copy()


def _pits(rng: np.random.Generator, height: int, width: int) -> tuple[np.float32, Grey]:
    cover = np.zeros((height, width), np.float32)
    s = height / 256
    for _ in range(rng.integers(3, 9)):
        at = rng.uniform(0.05, 0.95) * width, rng.uniform(0.1, 0.9) * height
        reach = rng.uniform(3, 9) * s + 1, rng.uniform(5, 14) * s + 1
        cover = np.maximum(cover, _blob(rng, height, width, at, reach))
    return np.float32(72), cover


def _slits(rng: np.random.Generator, height: int, width: int) -> tuple[np.float32, Grey]:
    s = height / 256
    at = rng.uniform(0.1, 0.9) * width, rng.uniform(0.4, 0.6) * height
    reach = rng.uniform(4, 8) * s + 1, rng.uniform(0.15, 0.3) * height
    return np.float32(42), _blob(rng, height, width, at, reach, 0.1)


def _scratches(rng: np.random.Generator, height: int, width: int) -> tuple[Grey, Grey]:
    cover = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 4)):
        wide, down = rng.uniform(4, 14) * height / 256, rng.normal(np.pi / 2, 0.5)
        line = _line(rng, height, width, wide, int(rng.integers(25, 60)), down)
        cover = np.maximum(cover, line)
    return 205 + 4 * noise(rng, (height, width), 2, 2), cover


def _torn(rng: np.random.Generator, height: int, width: int) -> tuple[Grey, Grey]:
    """A torn patch: dark scale with bright bare metal in it."""
    at = rng.uniform(0.2, 0.8) * width, rng.uniform(0.3, 0.7) * height
    reach = rng.uniform(0.4, 1.1) * height, rng.uniform(0.2, 0.4) * height
    bare = noise(rng, (height, width), 0.04 * height + 1, 0.03 * height + 1) > 1
    level = 70 + 8 * noise(rng, (height, width), 3, 3) + 170 * bare
    return level.astype(np.float32), _blob(rng, height, width, at, reach, 0.2)


_TILE_DEFECTS = {
    "blowhole": _blowhole,
    "break": _break,
    "crack": _crack,
    "fray": _fray,
    "uneven": _uneven,
}
_STRIP_DEFECTS: dict[str, StripDefect] = {"1": _pits, "2": _slits, "3": _scratches, "4": _torn}
TILES = {name: tile(name) for name in ("free", *_TILE_DEFECTS)}
STRIPS = {name: strip(name) for name in ("", *_STRIP_DEFECTS)}
