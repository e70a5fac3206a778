"""Pictures that are of no line: frames without structure, noise, drawings, and a line's own images
so changed that nobody should judge them. They try the gate; see docs/gate.md."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

SIDES = (160, 480)  # px of a drawn frame, from and to


def structureless(rng: np.random.Generator) -> Image:
    """A frame without structure: uniform grey or colour, or a gradient of nothing, plain or under
    a sensor's noise; (H, W) or (H, W, 3) uint8."""
    height, width = _size(rng)
    channels = 3 if rng.random() < 0.3 else 1
    level = rng.choice([0.0, 255.0, rng.uniform(0, 255)]) if channels == 1 else None
    colour = np.full(1, level) if level is not None else rng.uniform(0, 255, 3)
    frame = np.broadcast_to(colour, (height, width, channels)).astype(np.float64)
    if rng.random() < 0.4:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        angle, rise = rng.uniform(0, 2 * np.pi), rng.uniform(10, 120)
        ramp = np.cos(angle) * x / width + np.sin(angle) * y / height
        frame = frame + (rise * ramp)[:, :, None]
    if rng.random() < 0.5:
        frame = frame + rng.normal(0, rng.uniform(0.5, 12), frame.shape)
    return _finished(frame)


def noise(rng: np.random.Generator) -> Image:
    """Noise of any grain, contrast and brightness, (H, W) uint8."""
    height, width = _size(rng)
    grains = rng.normal(0, 1, (height, width)).astype(np.float32)
    grain = rng.choice([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
    if grain:
        grains = cv2.GaussianBlur(grains, (0, 0), grain)
    grains /= grains.std() + 1e-6
    return _finished(rng.uniform(60, 190) + rng.uniform(15, 70) * grains[:, :, None])


def text(rng: np.random.Generator) -> Image:
    """A page of text, (H, W) uint8."""
    height, width = _size(rng)
    page = np.full((height, width), rng.choice([255, 235, 20]), np.uint8)
    ink = 0 if page[0, 0] > 128 else 240
    scale = rng.uniform(0.4, 1.2)
    for line in range(int(rng.integers(2, 9))):
        words = "".join(rng.choice(list("abcdefghiklmnoprstu  ABE0123456789"), 40))
        at = (int(rng.integers(-10, 30)), int(28 * scale * (line + 1)))
        cv2.putText(page, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1 + (scale > 0.8))
    return page


def shapes(rng: np.random.Generator) -> Image:
    """Rectangles, circles and lines in flat colours, (H, W, 3) uint8."""
    height, width = _size(rng)
    page = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(int(rng.integers(2, 12))):
        colour = rng.integers(0, 256, 3).tolist()
        (x1, x2), (y1, y2) = rng.integers(0, width, 2), rng.integers(0, height, 2)
        kind = rng.integers(3)
        if kind == 0:
            cv2.rectangle(page, (int(x1), int(y1)), (int(x2), int(y2)), colour, -1)
        elif kind == 1:
            cv2.circle(page, (int(x1), int(y1)), int(rng.integers(5, width // 3)), colour, -1)
        else:
            cv2.line(page, (int(x1), int(y1)), (int(x2), int(y2)), colour, int(rng.integers(1, 9)))
    return page


def cat(rng: np.random.Generator) -> Image:
    """A drawn cat, (H, W, 3) uint8."""
    height, width = _size(rng)
    page = np.full((height, width, 3), rng.integers(150, 256, 3), np.uint8)
    fur, dark = rng.integers(40, 200, 3).tolist(), (20, 20, 20)
    x, y, r = width // 2, int(height * 0.55), int(min(height, width) * rng.uniform(0.22, 0.34))
    for side in (-1, 1):
        ear = [(x + side * r, y - int(0.3 * r)), (x + side * int(0.8 * r), y - int(1.5 * r))]
        cv2.fillPoly(page, [np.array([*ear, (x + side * int(0.2 * r), y - int(0.8 * r))])], fur)
    cv2.circle(page, (x, y), r, fur, -1)
    for side in (-1, 1):
        cv2.circle(page, (x + side * int(0.4 * r), y - int(0.2 * r)), max(2, r // 6), dark, -1)
        for rise in (-0.1, 0.1, 0.3):
            start = (x + side * int(0.3 * r), y + int(0.3 * r))
            cv2.line(page, start, (x + side * int(1.4 * r), y + int((0.3 + rise) * r)), dark, 1)
    cv2.ellipse(page, (x, y + int(0.35 * r)), (r // 4, r // 6), 0, 0, 180, dark, 2)
    return page


def inverted(image: Image, rng: np.random.Generator) -> Image:
    """The negative."""
    return 255 - image


def nearer(image: Image, rng: np.random.Generator) -> Image:
    """The middle third, enlarged to the whole."""
    height, width = image.shape[:2]
    middle = image[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    return cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC)


def farther(image: Image, rng: np.random.Generator) -> Image:
    """The image at a third of its scale, its surroundings made up by reflection."""
    height, width = image.shape[:2]
    sides = (height - 1, height - 1, width - 1, width - 1)
    wide = cv2.copyMakeBorder(image, *sides, cv2.BORDER_REFLECT_101)
    return cv2.resize(wide, (width, height), interpolation=cv2.INTER_AREA)


def crop(image: Image, rng: np.random.Generator) -> Image:
    """A piece of 0.3 to 0.5 of each side."""
    height, width = image.shape[:2]
    share = rng.uniform(0.3, 0.5)
    rows, columns = max(16, int(share * height)), max(16, int(share * width))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return np.ascontiguousarray(image[top : top + rows, left : left + columns])


def blurred(image: Image, rng: np.random.Generator) -> Image:
    """The image under a blur of a fortieth of its shorter side (Gaussian sigma)."""
    return cv2.GaussianBlur(image, (0, 0), min(image.shape[:2]) / 40)


DRAWN: dict[str, Callable[[np.random.Generator], Image]] = {
    "noise": noise,
    "text": text,
    "shapes": shapes,
    "cat": cat,
}
CHANGED: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "inverted": inverted,
    "nearer": nearer,
    "farther": farther,
    "crop": crop,
    "blurred": blurred,
}


# A line's own images as a camera that is badly set, or out of focus, takes them.
DAMAGED: dict[str, Callable[[Image], Image]] = {
    "brightness x1.6": lambda image: cv2.convertScaleAbs(image, alpha=1.6),
    "brightness x2.0": lambda image: cv2.convertScaleAbs(image, alpha=2.0),
    "brightness x0.4": lambda image: cv2.convertScaleAbs(image, alpha=0.4),
    "blur of 5 px": lambda image: cv2.GaussianBlur(image, (0, 0), 5.0),
}


def _size(rng: np.random.Generator) -> tuple[int, int]:
    low, high = SIDES
    height, width = rng.integers(low, high, 2)
    return int(height), int(width)


def _finished(frame: NDArray[np.floating]) -> Image:
    pixels = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
