"""The images that a gate is taught and measured with: the line's own, those of other lines,
drawings, and the line's own so changed that nobody should judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.schema import OWN
from defectvision.data.image_set import ImageSet
from defectvision.data.synthetic.foreign import CHANGED, DRAWN, structureless
from defectvision.inference.gate import Seen
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import image_name, read_file, read_pixels

STRUCTURELESS = "frames without structure"
MOST_KNOWN = 800  # of the images that were learned from
FEW_KNOWN = 200  # below it mirror images are added to those
MOST_FOREIGN = 160  # of each other set, half to learn from and half to measure on
MOST_DRAWN = 80  # of each kind, likewise
MOST_CHANGED = 60  # of each kind from images that were learned from, and as many from others
FLIPS = (0, 1, -1)  # up and down, left and right, both


@dataclass(frozen=True)
class Sight:
    """One image as the gate sees it. kind: OWN, or what it is instead; group: images that show
    the same have the same; known: whether the gate may learn from it, else it is measured on."""

    kind: str
    group: str
    known: bool
    seen: Seen


Advance = Callable[[str], None]


def sights(
    inspector: Inspector,
    known: ImageSet,
    unseen: Sequence[ImageSet],
    foreign: Sequence[ImageSet] = (),
    advance: Advance = lambda kind: None,
    refuse: Callable[[ImageError], None] = lambda error: None,
) -> Iterator[Sight]:
    """All that a gate is made from. known: images that the model learned from; unseen: images of
    the line that it did not; foreign: images of anything else. refuse: gets what is wrong with
    each image that cannot be read, which is left out."""
    for kind, group, is_known, name, data in _files(known, unseen, foreign, refuse):
        advance(kind)
        try:
            yield Sight(kind, group, is_known, inspector.look(data, name))
        except ImageError as error:
            refuse(error)


def _files(
    known: ImageSet,
    unseen: Sequence[ImageSet],
    foreign: Sequence[ImageSet],
    refuse: Callable[[ImageError], None],
) -> Iterator[tuple[str, str, bool, str, bytes]]:
    """Kind, group, whether it is known, name and content of each file."""
    few = len(known.catalog) < FEW_KNOWN
    for row, name, data in _read(known, _some(len(known.catalog), MOST_KNOWN), refuse):
        yield OWN, "", True, name, data
        for flip in FLIPS if few else ():
            try:
                pixels = read_pixels(known, row)
            except ImageError:  # named where it is looked at
                break
            yield OWN, "", True, name, as_file(cv2.flip(pixels, flip))
    for images in unseen:
        groups = images.catalog.groups()
        for row, name, data in _read(images, range(len(groups)), refuse):
            yield OWN, f"{images.catalog.name}/{groups[row]}", False, name, data
    for images in foreign:
        groups = images.catalog.groups()
        for row, name, data in _read(images, _some(len(groups), MOST_FOREIGN), refuse):
            half = crc32(str(groups[row]).encode()) % 2 == 0
            yield f"set {images.catalog.name}", str(groups[row]), half, name, data
    rng = np.random.default_rng(0)
    for kind, draw in {STRUCTURELESS: structureless, **DRAWN}.items():
        for number in range(MOST_DRAWN):
            yield kind, str(number), number % 2 == 0, kind, as_file(draw(rng))
    for kind, change in CHANGED.items():
        for images, is_known in ((known, True), *((images, False) for images in unseen)):
            groups = images.catalog.groups()
            for row in _some(len(groups), MOST_CHANGED):
                try:
                    pixels = read_pixels(images, row)
                except ImageError:
                    continue
                yield kind, str(groups[row]), is_known, kind, as_file(change(pixels, rng))


def _some(count: int, most: int) -> list[int]:
    """At most `most` of `count` row numbers, the same every time."""
    rows = np.random.default_rng(0).permutation(count)[:most]
    return sorted(rows.tolist())


def _read(
    images: ImageSet, rows: Iterable[int], refuse: Callable[[ImageError], None]
) -> Iterator[tuple[int, str, bytes]]:
    """Row number, name and content of each image whose file can be read."""
    for row in rows:
        try:
            yield row, image_name(images, row), read_file(images, row)
        except ImageError as error:
            refuse(error)


def as_file(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels` (H, W) or (H, W, 3) RGB as a file, so that they go the way that images go."""
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".bmp", pixels)[1].tobytes()
