"""Noise, strokes, and the textures of hot-rolled steel that are drawn with them.

Blurs and widths of the textures are given for the 200 px of NEU and scaled to the size asked.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]


def noise(
    rng: np.random.Generator, size: int | tuple[int, int], across: float, down: float
) -> Grey:
    """(size, size), or (height, width), smooth noise of mean 0 and deviation 1; blur in px along
    x and along y."""
    height, width = size if isinstance(size, tuple) else (size, size)
    # Borders of a blur are flatter than its middle, so a margin is drawn and cut off.
    margin = int(np.ceil(2 * max(across, down))) + 1
    raw = rng.standard_normal((height + 2 * margin, width + 2 * margin)).astype(np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), sigmaX=max(across, 0.1), sigmaY=max(down, 0.1))
    smooth = smooth[margin:-margin, margin:-margin]
    return (smooth - smooth.mean()) / (smooth.std() + 1e-6)


def step(value: Grey, edge: float | Grey, softness: float) -> Grey:
    """0 well below the edge, 1 well above, smooth within +-softness."""
    t = np.clip((value - edge) / (2 * softness) + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def curve(
    rng: np.random.Generator, size: int, start: tuple[float, float], angle: float, steps: int
) -> NDArray[np.int32]:
    """(steps, 2) points of a walk that mostly keeps its direction."""
    turns = angle + np.cumsum(rng.normal(0, 0.35, steps))
    stride = size / 60 * rng.uniform(0.5, 1.5, steps)
    offsets = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1) * stride[:, None], axis=0)
    return (np.asarray(start) + offsets).astype(np.int32)


def over(image: Grey, layer: Grey | np.float32, cover: Grey) -> Grey:
    """`layer` laid over `image` where `cover` is 1."""
    return image + (layer - image) * cover


def stroke(image: Grey, points: NDArray[np.int32], change: float, width: float) -> Grey:
    """`image` brightened by `change` along a line of points, `width` px wide."""
    layer = np.zeros(image.shape, np.uint8)
    cv2.polylines(layer, [points], False, 255, max(1, round(width)), cv2.LINE_AA)
    return image + np.float32(change) * (layer.astype(np.float32) / np.float32(255))


def crazing(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    image = rng.uniform(85, 150) + 14 * noise(rng, size, 14 * s, 60 * s)
    grain = 0.7 * noise(rng, size, 0.6 * s, 0.9 * s) + 0.5 * noise(rng, size, 2 * s, 0.6 * s)
    image = image * (1 + 0.17 * grain)
    # The zero lines of smooth noise branch and close as cracks do.
    net = np.minimum(np.abs(noise(rng, size, 5 * s, 7 * s)), np.abs(noise(rng, size, 7 * s, 4 * s)))
    ragged = net + 0.05 * noise(rng, size, 0.8 * s, 0.8 * s)
    where = step(noise(rng, size, 12 * s, 12 * s), 0.1, 0.8)
    image = image * (1 - 0.65 * (1 - step(ragged, 0.08, 0.06)) * where)
    for _ in range(rng.integers(6, 18)):
        start = tuple(rng.uniform(0, size, 2))
        points = curve(rng, size, start, rng.normal(0, 0.6), int(rng.integers(2, 7)))
        image = stroke(image, points, -70, rng.uniform(1, 2.6) * s)
    return image


def inclusion(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    columns = np.arange(size, dtype=np.float32)
    image = rng.uniform(62, 112) + rng.uniform(-18, 18) * (columns / size - 0.5)[None, :]
    image = image + 2.5 * noise(rng, size, 1.5 * s, 40 * s) + 3 * noise(rng, size, 0.6, 0.6)
    streaks = np.zeros(size, np.float32)
    for _ in range(rng.integers(1, 4)):
        at, width = rng.uniform(0.1, 0.9) * size, rng.uniform(3, 10) * s
        streaks = np.maximum(streaks, np.exp(-(((columns - at) / width) ** 2)))
    specks = noise(rng, size, 2.2 * s, 13 * s) + 0.25 * noise(rng, size, 1 * s, 2 * s)
    inside = step(specks + 2.2 * streaks[None, :], rng.uniform(2.0, 2.5), 0.45)
    return image - rng.uniform(22, 42) * inside


def patches(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    dark = rng.random() < 0.2
    base, grain, depth = (62.0, 10.0, 50.0) if dark else (205.0, 20.0, rng.uniform(110, 150))
    image = base + grain * noise(rng, size, 0.7 * s, 0.9 * s)
    image = image + 0.5 * grain * noise(rng, size, 10 * s, 40 * s)
    blotches = noise(rng, size, 13 * s, 24 * s) + 0.18 * noise(rng, size, 2 * s, 2.5 * s)
    edge = 1.3 if dark else rng.uniform(0.7, 1.1)
    image = image - depth * step(blotches, edge, 0.5)
    crumbs = step(noise(rng, size, 1.2 * s, 1.2 * s), 1.9, 0.25)
    return image - 90 * crumbs * step(noise(rng, size, 14 * s, 14 * s), 1.2, 0.2)


def pitted_surface(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    columns, rows = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2)
    lit = rng.uniform(205, 240) - 22 * (columns * rng.normal() + rows * rng.normal())
    image: Grey = np.minimum(lit, 250) + 2.5 * noise(rng, size, 0.6, 0.6)
    pits = noise(rng, size, rng.uniform(1.0, 1.5) * s, rng.uniform(1.3, 2.1) * s)
    dense = 0.35 * noise(rng, size, 25 * s, 50 * s)
    image = image - rng.uniform(35, 60) * step(pits + dense, 1.25, 0.7)
    if rng.random() < 0.3:  # a corroded edge
        side = columns if rng.random() < 0.5 else -columns
        eaten = side + 0.1 * noise(rng, size, 6 * s, 12 * s) + 0.04 * noise(rng, size, 1.5, 1.5)
        image = over(image, np.float32(115), step(eaten, rng.uniform(0.75, 0.95), 0.03))
    return image


def rolled_in_scale(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    image = rng.uniform(72, 105) + 11 * noise(rng, size, 16 * s, 55 * s)
    # rolling marks: fine, long, and at one angle
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(-35, 35)), 1.5)
    marks = cv2.warpAffine(noise(rng, size, 9 * s, 0.6 * s), turn, (size, size))
    image = image + 6 * marks + 6 * noise(rng, size, 0.7 * s, 0.7 * s)
    flakes = noise(rng, size, 2.6 * s, 1.3 * s) + 0.5 * noise(rng, size, 1 * s, 0.7 * s)
    clusters = noise(rng, size, 14 * s, 12 * s)
    inside = step(flakes + 0.9 * clusters, rng.uniform(2.0, 2.5), 0.8)
    below = np.roll(inside, max(1, round(1.6 * s)), axis=0)
    return image - 52 * inside + 22 * np.clip(below - inside, 0, 1)


def scratches(rng: np.random.Generator, size: int) -> Grey:
    s = size / 200
    across = np.arange(size, dtype=np.float32)
    image = rng.uniform(48, 105) + 6 * noise(rng, size, 30 * s, 60 * s)
    image = image + 3 * noise(rng, size, 0.8 * s, 30 * s) + 3 * noise(rng, size, 0.6, 0.6)
    for _ in range(rng.integers(1, 5)):
        at, width = rng.uniform(0.08, 0.92) * size, rng.uniform(0.7, 4) * s
        wander = np.cumsum(rng.normal(0, 0.06 * s, size)).astype(np.float32)
        away = across[None, :] - at - wander[:, None]
        length = rng.uniform(0.35, 3) * size / 2
        along = 1 - step(np.abs(across - rng.uniform(0, size)), length, 6 * s)
        ragged = 0.8 + 0.12 * noise(rng, size, 0.6 * s, 9 * s) + 0.08 * noise(rng, size, 0.6, 0.6)
        image = (
            image + rng.uniform(60, 140) * np.exp(-((away / width) ** 2)) * along[:, None] * ragged
        )
    return image.T if rng.random() < 0.25 else image
