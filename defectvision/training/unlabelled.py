"""Pictures without labels: decoded once into one file, then cropped, turned, lit and mixed.

What counts for distillation is how varied the crops are, not how many pictures they come from
(Asano and Saeed 2023, https://arxiv.org/abs/2112.00725). A crop follows from the seed and its
number alone, so that a training which goes on later sees what it would have seen.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from defectvision import atomic, roots
from defectvision.inference.images import ImageError, decode_image

log = logging.getLogger(__name__)

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
LONGEST_SIDE = 1536  # px; larger pictures are shrunk to it
SHORTEST_SIDE = 48  # px; smaller ones are left out
LEVELS = 5  # of the pyramid, each half the one before
FLAT = 6.0  # standard deviation of the pixels below which a crop shows nothing
TRIES = 4  # to draw one that shows something
USUAL = (0.45, 0.22)  # mean and deviation of a photograph's pixels, from 0 to 1


class PoolError(RuntimeError):
    """A pool that cannot be made; the message says what is missing."""


class Crops(BaseModel):
    """How a crop is drawn. Shares are of all crops, unless they say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    smallest: float = Field(0.1, gt=0, le=1, description="side, as share of the shorter side")
    enlarged: float = Field(2.0, ge=1, description="most that a pixel is enlarged")
    stretch: float = Field(1.33, ge=1, description="largest ratio of the sides")
    turned: float = Field(0.3, ge=0, le=1, description="by any angle; the others by quarters")
    grey: float = Field(0.4, ge=0, le=1)
    even: float = Field(0.5, ge=0, le=1, description="set to the usual mean and contrast first")
    contrast: float = Field(0.5, ge=0, lt=1)
    brightness: float = Field(0.25, ge=0, lt=1)
    gamma: float = Field(1.6, ge=1)
    tint: float = Field(0.15, ge=0, lt=1)
    inverted: float = Field(0.03, ge=0, le=1)
    blurred: float = Field(0.2, ge=0, le=1)
    noisy: float = Field(0.2, ge=0, le=1)
    cutmix: float = Field(0.5, ge=0, le=1, description="share of the batches")
    mixup: float = Field(0.2, ge=0, le=1, description="share of the batches")


@dataclass(frozen=True)
class Picture:
    """One picture of a pool. levels: (offset in bytes, height, width) of each size, whole first."""

    name: str
    source: str
    channels: int
    levels: tuple[tuple[int, int, int], ...]


class Pool:
    """Decoded pictures in `folder/pool.u8`, described by `folder/pool.json`."""

    def __init__(self, folder: Path):
        description = json.loads((folder / "pool.json").read_text(encoding="utf-8"))
        self.sources: list[str] = description["sources"]
        self.left_out: list[str] = description["left_out"]
        self.pictures = [
            Picture(p["name"], p["source"], p["channels"], tuple(map(tuple, p["levels"])))
            for p in description["pictures"]
        ]
        self._bytes = np.memmap(folder / "pool.u8", np.uint8, "r")
        self._until = np.cumsum(self._weights())

    def __len__(self) -> int:
        return len(self.pictures)

    def pixels(self, index: int, level: int = 0) -> NDArray[np.uint8]:
        """(H, W, C) uint8, C 1 or 3, the picture halved `level` times."""
        picture = self.pictures[index]
        offset, height, width = picture.levels[level]
        size = height * width * picture.channels
        return self._bytes[offset : offset + size].reshape(height, width, picture.channels)

    def draw(self, at: float) -> int:
        """The picture at the share `at` (0 to 1) of all weights."""
        found = int(np.searchsorted(self._until, at * self._until[-1], side="right"))
        return min(found, len(self) - 1)

    def _weights(self) -> NDArray[np.float64]:
        """A source counts by the square root of its pixels, and so does a picture in it: neither
        a large set of look-alikes nor a small set of wallpapers takes all."""
        pixels = np.array([p.levels[0][1] * p.levels[0][2] for p in self.pictures], float)
        sources = np.array([p.source for p in self.pictures])
        weights = np.sqrt(pixels)
        for source in np.unique(sources):
            own = sources == source
            weights[own] *= np.sqrt(pixels[own].sum()) / weights[own].sum()
        return weights


def image_files(source: Path) -> list[Path]:
    """The images of a folder: those that its `index.csv` names, else all in it and below.

    Raises PoolError where there is none.
    """
    index = source / "index.csv"
    if index.is_file():
        with index.open(encoding="utf-8-sig", newline="") as file:
            found = [source / row["path"] for row in csv.DictReader(file) if row.get("path")]
    else:
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise PoolError(f"{source}: holds no images. Name a folder with {', '.join(SUFFIXES)}")
    return found


def open_pool(sources: Sequence[Path], folder: Path) -> Pool:
    """The pool of these folders, decoded into `folder` where it is not there yet.

    An image that cannot be read is left out and named, in the log and in `Pool.left_out`.
    """
    names = [str(source.resolve()) for source in sources]
    if (folder / "pool.json").is_file():
        pool = Pool(folder)
        if not names or pool.sources == names:
            return pool
        log.info("%s: made of other folders, so it is made anew", folder)
    if not names:
        raise PoolError(f"{folder}: no pool is here yet. Name folders with images")
    pictures: list[dict[str, Any]] = []
    left_out: list[str] = []
    with atomic.replacing(folder / "pool.u8") as fresh, fresh.open("wb") as file:
        for source, path in ((s, p) for s in sources for p in image_files(s)):
            try:
                pixels = _decoded(path)
            except (ImageError, OSError) as error:
                log.warning("left out: %s", error)
                left_out.append(str(error))
                continue
            levels = []
            for level in _pyramid(pixels):
                levels.append((file.tell(), *level.shape[:2]))
                file.write(level.tobytes())
            picture = {"name": path.name, "source": source.name, "channels": pixels.shape[2]}
            pictures.append({**picture, "levels": levels})
        if not pictures:
            raise PoolError(f"none of {len(left_out)} images could be read; first: {left_out[0]}")
    description = {"sources": names, "left_out": left_out, "pictures": pictures}
    atomic.write_text(folder / "pool.json", json.dumps(description))
    log.info("%d pictures decoded, %d left out", len(pictures), len(left_out))
    return Pool(folder)


def _decoded(path: Path) -> NDArray[np.uint8]:
    """(H, W, C) uint8, not larger than LONGEST_SIDE."""
    pixels = decode_image(roots.content(path), path.name)
    if min(pixels.shape[:2]) < SHORTEST_SIDE:
        raise ImageError(path.name, f"is smaller than {SHORTEST_SIDE} px", "Leave it out.")
    shrink = LONGEST_SIDE / max(pixels.shape[:2])
    if shrink < 1:
        pixels = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        pixels = pixels[:, :, 0]
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _pyramid(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for _ in range(LEVELS):
        yield pixels
        height, width = pixels.shape[:2]
        if min(height, width) < 2 * SHORTEST_SIDE:
            return
        half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        pixels = half.reshape(*half.shape[:2], -1)


def crop(pool: Pool, number: int, size: int, how: Crops, seed: int) -> NDArray[np.uint8]:
    """Crop number `number` of the seed: (size, size, 3) uint8 RGB."""
    rng = np.random.default_rng((seed, number))
    for _ in range(TRIES):
        cut = _cut(pool, pool.draw(rng.random()), size, how, rng)
        if cut.std() >= FLAT:
            break
    return _lit(cut, how, rng)


def _cut(
    pool: Pool, index: int, size: int, how: Crops, rng: np.random.Generator
) -> NDArray[np.uint8]:
    levels = pool.pictures[index].levels
    _, height, width = levels[0]
    short = min(height, width)
    least = min(short, max(size / how.enlarged, how.smallest * short))
    side = least * (short / least) ** rng.random()
    ratio = how.stretch ** (rng.uniform(-1, 1) / 2)
    across, along = min(side * ratio, width), min(side / ratio, height)
    centre = (
        rng.uniform(across / 2, width - across / 2),
        rng.uniform(along / 2, height - along / 2),
    )
    angle = int(rng.integers(4)) * np.pi / 2
    if rng.random() < how.turned:
        angle = rng.uniform(0, 2 * np.pi)
    mirror = rng.choice((-1, 1))
    # Between this level and the next, so that bilinear sampling neither blurs nor aliases.
    level = int(np.clip(np.log2(max(1.0, min(across, along) / size)), 0, len(levels) - 1))
    _, level_height, level_width = levels[level]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.array([across * level_width / width, along * level_height / height]) / size
    linear = np.diag(scale) @ turn @ np.diag([mirror, 1])
    middle = np.array([centre[0] * level_width / width, centre[1] * level_height / height]) - 0.5
    shift = middle - linear @ np.full(2, (size - 1) / 2)
    cut = cv2.warpAffine(
        pool.pixels(index, level),
        np.column_stack([linear, shift]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return cv2.cvtColor(cut, cv2.COLOR_GRAY2RGB) if cut.ndim == 2 else cut


def _lit(image: NDArray[np.uint8], how: Crops, rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() < how.grey:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
        tint = np.zeros(3)
    else:
        tint = rng.uniform(-how.tint, how.tint, 3)
    tone = np.linspace(0, 1, 256)[:, None]
    if rng.random() < how.even:
        # As `lighting: image` does for a line: faint texture is as plain as any.
        gain = min(USUAL[1] * 255 / max(image.std(), 1.0), 8.0)
        tone = (USUAL[0] + (tone - image.mean() / 255) * gain).clip(0, 1)
    tone = tone ** (how.gamma ** rng.uniform(-1, 1))
    tone = 0.5 + (tone - 0.5) * (1 + rng.uniform(-how.contrast, how.contrast))
    tone = (tone + rng.uniform(-how.brightness, how.brightness)) * (1 + tint)
    if rng.random() < how.inverted:
        tone = 1 - tone
    table = (tone.clip(0, 1) * 255).round().astype(np.uint8)
    image = cv2.LUT(image, table[:, None, :])
    if rng.random() < how.blurred:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))
    if rng.random() < how.noisy:
        noise = rng.normal(0, rng.uniform(1, 12), (*image.shape[:2], 1))
        image = (image + noise).clip(0, 255).astype(np.uint8)
    return image


def crop_batch(
    pool: Pool, first: int, count: int, size: int, how: Crops, seed: int
) -> NDArray[np.uint8]:
    """Crops `first` to `first + count`, mixed among themselves: (count, size, size, 3) uint8.

    CutMix (Yun et al. 2019, https://arxiv.org/abs/1905.04899) sets a box of one crop into
    another, mixup (Zhang et al. 2017, https://arxiv.org/abs/1710.09412) lays one over another.
    """
    batch = np.stack([crop(pool, first + i, size, how, seed) for i in range(count)])
    rng = np.random.default_rng((seed, first, count))
    kind, other = rng.random(), rng.permutation(count)
    if kind < how.cutmix:
        share = np.sqrt(rng.random())  # the box's area is uniform, as there
        box = max(1, round(size * share))
        top, left = rng.integers(0, size - box + 1, 2)
        part = (slice(top, top + box), slice(left, left + box))
        batch[:, *part] = batch[other][:, *part]
    elif kind < how.cutmix + how.mixup:
        share = rng.uniform(0, 0.5)
        batch = cv2.addWeighted(
            batch.reshape(count, -1), 1 - share, batch[other].reshape(count, -1), share, 0
        ).reshape(batch.shape)
    return batch
