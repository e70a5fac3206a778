"""What a memory of good parts is made of, and how far pictures are from it.

The places kept are a greedy k-centre of those that were drawn, found on a random projection (Roth
et al. 2022, https://arxiv.org/abs/2106.08265, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import rotate

from defectvision.inference.good_memory import USUAL_SHARE
from defectvision.inference.good_pictures import ANGLES, places_at
from defectvision.models.memory import PatchMemory
from defectvision.training.examples import Example
from defectvision.training.prediction import batches
from defectvision.training.recipe import Memory

BATCH = 8
PROJECTED = 64  # numbers a place is projected to
LEAST_SCALE = 1e-6
LEAST_APART = 1e-6  # of a place's own length, squared
ROOM = 2**30  # bytes of descriptions kept from drawing places until pictures are looked at


@dataclass(frozen=True, eq=False)
class Places:
    """Descriptions of places of good parts, scaled: (P, D), projected: (P, PROJECTED) float32, the
    image (P,) each is of, and where `at` (P, 2), as shares of the model's input."""

    described: Tensor
    projected: NDArray[np.float32]
    image: NDArray[np.int_]
    at: NDArray[np.float32]

    def remembered(self, rows: NDArray[np.int_]) -> Tensor:
        """(K, D) what describes these places, as the bundle keeps it."""
        return self.described[torch.from_numpy(rows)].half().float()


@dataclass(frozen=True, eq=False)
class Looked:
    """What pictures are under a memory that holds neither them nor near-copies of them.

    distances, fine: (N, h, w) float32, see `PatchMemory.distances`; embeddings: (N, E); shown:
    (N, D), what the places show of which a head reads names, see `PatchMemory.shares`.
    """

    distances: NDArray[np.float32]
    fine: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    shown: NDArray[np.float32]

    def take(self, rows: NDArray[np.bool_]) -> Looked:
        """Those of the pictures (N,) that are chosen."""
        columns = (self.distances, self.fine, self.embeddings, self.shown)
        return Looked(*(column[rows] for column in columns))


Advance = Callable[[], None]
Describe = Callable[[Tensor], Tensor]  # pictures (B, channels, H, W) to their places (B, D, h, w)


class Described:
    """What describes the places of some pictures, (D, h, w) by row, while there is room for it."""

    def __init__(self) -> None:
        self._room = ROOM
        self._kept: dict[int, Tensor] = {}

    def keep(self, row: int, places: Tensor) -> None:
        self._room -= places.nbytes
        if self._room >= 0:
            self._kept[row] = places

    def __contains__(self, row: int) -> bool:
        return row in self._kept

    def taken(self) -> Iterator[tuple[int, Tensor]]:
        """Row and (1, D, h, w) of each that was kept; it is kept no longer."""
        for row in sorted(self._kept):
            yield row, self._kept.pop(row)[None]


@torch.inference_mode()
def draw_places(
    describe: Describe,
    images: Dataset[Example],
    good: NDArray[np.int_],
    how: Memory,
    seed: int,
    advance: Advance,
) -> tuple[Places, Tensor, Described]:
    """As many places of each of the `good` images, chosen by chance; the scale (D,) by which each
    number that describes a place varies alike; and what describes the images."""
    rng = np.random.default_rng(seed)
    angles = ANGLES if how.turned else (0,)
    each = max(16, how.drawn // (len(good) * len(angles)))
    kept, described, image, at = Described(), [], [], []
    for numbers, pictures in _pictures(Subset(images, good.tolist())):
        rows = good[numbers]
        for angle in angles:
            turned = rotate(pictures, angle, InterpolationMode.BILINEAR) if angle else pictures
            places = describe(turned)
            grid, frame = (places.shape[2], places.shape[3]), (turned.shape[2], turned.shape[3])
            for row, found in zip(rows, places.flatten(2), strict=True):
                chosen = rng.permutation(found.shape[1])[:each]
                at.append(places_at(chosen, grid, frame, angle))
                described.append(found[:, torch.from_numpy(chosen)].T)
                image.append(np.full(len(chosen), row))
            if not angle:
                for row, found in zip(rows, places, strict=True):
                    kept.keep(int(row), found.clone())
        for _ in rows:
            advance()
    together = torch.cat(described)
    scale = (1 / together.std(0).clamp_min(LEAST_SCALE)).half().float()
    scaled = together * scale
    axes = np.random.default_rng(seed).normal(size=(scaled.shape[1], PROJECTED))
    projected = scaled.numpy() @ (axes / PROJECTED**0.5).astype(np.float32)
    return Places(scaled, projected, np.concatenate(image), np.concatenate(at)), scale, kept


def kept_places(
    places: Places, images: Sequence[NDArray[np.bool_]], vectors: int, advance: Advance
) -> list[NDArray[np.int_]]:
    """Of each choice of images (N,): (K,) at most `vectors` places of them, as far apart as can be.

    All choices grow side by side, one place a step: the places are read once for all of them.
    """
    projected, length = places.projected, np.square(places.projected).sum(1)
    each = np.arange(len(images))
    own = np.stack(images)[:, places.image]
    nearest = np.where(own, np.inf, 0).astype(np.float32)
    last, growing = own.argmax(1), np.ones(len(images), bool)
    kept = [[first] for first in last]
    distance = np.empty_like(nearest)
    for _ in range(vectors - 1):
        np.matmul(-2 * projected[last], projected.T, out=distance)
        distance += length
        distance += length[last, None]
        np.minimum(nearest, distance, out=nearest)
        nearest[each, last] = 0
        last = nearest.argmax(1)
        # Where all that is left is remembered already, nothing more is.
        growing &= nearest[each, last] > LEAST_APART * length[last]
        if not growing.any():
            break
        for choice in np.flatnonzero(growing):
            kept[choice].append(last[choice])
        advance()
    return [np.array(rows) for rows in kept]


@torch.inference_mode()
def look(
    network: PatchMemory,
    describe: Describe,
    images: Dataset[Example],
    memories: Sequence[Tensor],
    which: NDArray[np.int_],
    advance: Advance,
    kept: Described,
) -> Looked:
    """How far each image is from the memory that `which` (N,) names for it; `kept` of them is not
    described again."""
    found: dict[int, tuple[NDArray[np.float32], ...]] = {}
    others = [row for row in range(len(which)) if row not in kept]
    for row, places in chain(kept.taken(), _described(describe, images, others)):
        distance, fine = network.distances(places, memories[which[row]])
        deepest = places[:, -network.places.deepest :].mean((2, 3))
        shown = (places * network.shares(distance)).mean((2, 3))
        found[row] = tuple(one[0].numpy() for one in (distance[:, 0], fine[:, 0], deepest, shown))
        advance()
    in_order = (found[row] for row in sorted(found))
    return Looked(*(np.stack(column) for column in zip(*in_order, strict=True)))


def _described(
    describe: Describe, images: Dataset[Example], rows: Sequence[int]
) -> Iterator[tuple[int, Tensor]]:
    """Row and (1, D, h, w) of each of these images."""
    for numbers, pictures in _pictures(Subset(images, rows)):
        for number, places in zip(numbers, describe(pictures), strict=True):
            yield rows[number], places[None]


def tail(values: NDArray[np.floating]) -> tuple[float, float]:
    """Factor and shift that bring values (N,) of good pictures to log-odds of 0 where the share
    USUAL_SHARE lies above: of their upper half, whose excess over the median is exponential.

    The scale is the median excess over ln 2, which a few strange pictures do not move.
    """
    median, upper = np.quantile(values, (0.5, 0.75))
    scale = max(float(upper - median) / math.log(2), 1e-3 * max(abs(float(median)), 1e-3))
    return 1 / scale, -float(median) / scale - math.log(0.5 / USUAL_SHARE)


def _pictures(images: Dataset[Example]) -> Iterator[tuple[range, Tensor]]:
    """Row numbers, and their pictures (B, channels, H, W)."""
    first = 0
    for batch in batches(images, BATCH):
        rows = range(first, first + len(batch.image))
        yield rows, batch.image
        first = rows.stop
