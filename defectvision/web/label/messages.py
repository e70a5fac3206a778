"""What the labelling canvas in the browser and the server tell each other.

A mask travels as COCO's uncompressed run lengths: down the columns, background first. What the
browser sends is a stranger's word and is believed only as far as it was checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from defectvision.data.rle.coco import mask_counts

MOST_RUNS = 4_000_000  # of one mask; a hand draws some thousands, a fill of noise a million
MOST_COUNTED = 1 << 53  # what a browser counts exactly

Counts = NDArray[np.int64]


class MessageError(ValueError):
    """What the browser sent cannot be what somebody drew."""


@dataclass(frozen=True)
class Drawable:
    """A class that an image can be labelled with.

    colour: #rrggbb; key: the digit that chooses it, "" where none does; good: whether it says that
    there is no defect, which excludes every other class and any mask.
    """

    name: str
    title: str
    colour: str
    key: str
    good: bool = False


@dataclass(frozen=True)
class Told:
    """One message. masks: the classes whose mask is another than was told before, which may have no
    px left; number: greater than that of every earlier message about the image."""

    opening: str
    number: int
    names: tuple[str, ...]
    masks: dict[str, Counts]
    step: str
    strokes: int


STEPS = ("", "next", "previous", "save")


def encode_masks(
    masks: Mapping[str, NDArray[np.bool_]], image_size: tuple[int, int], classes: Sequence[Drawable]
) -> dict[str, list[int]]:
    """The run lengths of those of `masks` that have any px.

    Raises ValueError for a mask of another size, or of a class that is not to be drawn.
    """
    drawn = {c.name for c in classes if not c.good}
    encoded = {}
    for name, mask in masks.items():
        if name not in drawn:
            raise ValueError(f"a mask of {name!r}, which is none of the classes to be drawn")
        if mask.shape != image_size:
            raise ValueError(f"the mask of {name!r} is {mask.shape}, the image {image_size}")
        if mask.any():
            encoded[name] = mask_counts(mask)
    return encoded


def decode_mask(counts: Counts, image_size: tuple[int, int]) -> NDArray[np.bool_]:
    """The (H, W) mask of run lengths that `read_counts` has let pass."""
    height, width = image_size
    values = np.arange(counts.size) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def read_counts(sent: Any, image_size: tuple[int, int]) -> Counts:
    """Run lengths as numbers. Raises MessageError for what is no list of whole numbers that add
    up to the image's px.
    """
    if not isinstance(sent, list) or not 0 < len(sent) <= MOST_RUNS:
        raise MessageError("run lengths that are no list, empty, or too many")
    if set(map(type, sent)) != {int}:
        raise MessageError("run lengths that are no whole numbers")
    pixels = image_size[0] * image_size[1]
    if min(sent) < 0 or sum(sent) != pixels:
        raise MessageError(f"run lengths that do not add up to the image's {pixels} px")
    return np.array(sent, np.int64)


def read_message(sent: Any) -> tuple[str, int]:
    """Which opening of an image a message is about, and its number; raises MessageError."""
    if not isinstance(sent, dict):
        raise MessageError("no message")
    opening, number = sent.get("opening"), sent.get("number")
    if not isinstance(opening, str) or not _whole(number):
        raise MessageError("a message without its opening or number")
    return opening, number


def read_told(
    sent: dict[str, Any],
    image_size: tuple[int, int],
    classes: Sequence[Drawable],
    several: bool,
    drawable: bool,
) -> Told:
    """What a message says of an image of these classes; raises MessageError for what none can."""
    opening, number = read_message(sent)
    known = {c.name: c for c in classes}
    names, masks = sent.get("names"), sent.get("masks")
    if not isinstance(names, list) or not isinstance(masks, dict):
        raise MessageError("a message without names or masks")
    if not all(isinstance(name, str) and name in known for name in names):
        raise MessageError("a label that is none of the classes")
    alone = not several or any(known[name].good for name in names)
    if len(set(names)) != len(names) or (alone and len(names) > 1):
        raise MessageError("labels that exclude each other")
    if masks and not drawable:
        raise MessageError("a mask where none is to be drawn")
    if not all(name in known and not known[name].good for name in masks):
        raise MessageError("a mask of what is none of the classes to be drawn")
    step, strokes = sent.get("step"), sent.get("strokes")
    if step not in STEPS or not _whole(strokes):
        raise MessageError("an unknown step or number of strokes")
    return Told(
        opening,
        number,
        tuple(c.name for c in classes if c.name in names),
        {name: read_counts(counts, image_size) for name, counts in masks.items()},
        str(step),
        strokes,
    )


def _whole(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < MOST_COUNTED
