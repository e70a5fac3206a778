"""Samples of 9 to 16 bits to 8, by one scale for a camera.

A picture of 12 bits in a 16-bit file looks sixteen times darker than it is if it is taken for 16
bits, and a single hot pixel decides if its largest value is taken for the camera's. So the file's
own word counts first, then what the line states; else only a picture that cannot be of fewer bits
is read, and the others are refused with their range.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, ImageFile

from defectvision.inference.image_error import Refusal
from defectvision.inference.strips import blended, is_ignored, strips

FULL = 16
# This share of the samples must need the sixteenth bit, so that hot pixels decide nothing.
SURE_SHARE = 0.01


class Depth(NamedTuple):
    """The bits of a sample, where they are known: what the file and what the line states."""

    tagged: int | None
    stated: int | None


def is_wide_colour(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture is of 16 bits a channel with colour or alpha; a BMP of 16 bits has
    them for all channels together."""
    wide = any(";16" in str(tile.args) for tile in image.tile) and not image.mode.startswith("I")
    return wide and not isinstance(image, BmpImagePlugin.BmpImageFile)


def narrow_grey(
    values: NDArray[np.uint16], white_is_zero: bool, depth: Depth, transparent: int | None = None
) -> NDArray[np.uint8]:
    """(H, W) 16-bit grey samples at 8 bits. transparent: the level that is seen through, which
    becomes white; where all samples are of it, it says nothing, see `is_ignored`."""
    top = (1 << sample_bits(values, depth.tagged, depth.stated)) - 1
    pixels = np.empty(values.shape, np.uint8)
    for rows in strips(*values.shape):
        part = np.ascontiguousarray(values[rows], np.uint16)
        part = top - part if white_is_zero else part
        pixels[rows] = cv2.convertScaleAbs(part, alpha=255 / top)
    if transparent is not None and (values != transparent).any():
        pixels[values == transparent] = 255
    return pixels


def narrow_colour(image: ImageFile.ImageFile, data: bytes, depth: Depth) -> NDArray[np.uint8]:
    """An image of 16 bits a channel with colour or alpha, at 8 bits, (H, W) or (H, W, 3): Pillow
    would take the upper half of each sample, whatever the camera's range.

    Raises Refusal for colours that are multiplied by their alpha, which OpenCV leaves so.
    """
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    values = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if values is None:
        raise ValueError("its samples cannot be read")
    if values.dtype != np.uint16 or values.shape[1::-1] != image.size or values.ndim != 3:
        raise Refusal(
            f"{image.mode} of 16 bits a channel, laid out in an unusual way",
            "Export it with 8 bits a channel.",
        )
    bits = sample_bits(values[:, :, :3], depth.tagged, depth.stated)
    colour = 255 / ((1 << bits) - 1) if bits < FULL else None
    alpha, ignored = None, False
    if values.shape[2] == 4:
        low, high = int(values[:, :, 3].min()), int(values[:, :, 3].max())
        alpha = None if high >> bits else colour
        ends = _eight(np.array([low, high], np.uint16), alpha)
        kind = str(image.tile[0].args)
        # RGBX: a fourth sample that is no alpha, near infrared for example
        ignored = "RGBX" in kind or is_ignored((int(ends[0]), int(ends[1])))
        if "RGBa" in kind and not ignored:
            raise Refusal(
                "colour of 16 bits a channel that is multiplied by its alpha",
                "Export it without transparency.",
            )
    grey = image.mode in ("L", "LA")
    height, width = values.shape[:2]
    pixels = np.empty((height, width) if grey else (height, width, 3), np.uint8)
    order = cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB
    for rows in strips(height, width):
        narrow = _eight(cv2.cvtColor(values[rows], order), colour)
        if values.shape[2] == 4:
            narrow[:, :, 3] = _eight(np.ascontiguousarray(values[rows, :, 3]), alpha)
        pixels[rows] = blended(Image.fromarray(narrow), grey, ignored)
    return pixels


def _eight(values: NDArray[np.uint16], factor: float | None) -> NDArray[np.uint8]:
    """Scaled by `factor`; None: of the full range, whose upper byte is taken."""
    if factor is None:
        return (values >> 8).astype(np.uint8)
    return cv2.convertScaleAbs(values, alpha=factor).reshape(values.shape)


def sample_bits(values: NDArray[np.uint16], tagged: int | None, stated: int | None) -> int:
    """The bits of the camera whose samples are `values` (any shape), 9 to 16.

    tagged: what the file says of itself; stated: what the line says. Raises Refusal where neither
    says anything and the samples do not, or where they contradict what the line states.
    """
    most = int(values.max(initial=0))
    if tagged is not None:
        return FULL if _fills_sixteen(values, most, tagged) else tagged
    if stated is not None:
        if most >> stated:
            raise Refusal(
                f"16-bit samples up to {most}, more than the {stated} bits that the line states",
                "Correct `bits` in line.json, or export the picture with 8 bits a channel.",
            )
        return stated
    high = sum(np.count_nonzero(part >> (FULL - 1)) for part in _parts(values))
    if high >= max(1, SURE_SHARE * values.size):
        return FULL
    raise Refusal(
        f"a 16-bit file that does not say its range (samples up to {most}, so "
        f"{max(9, most.bit_length())} to 16 bits)",
        "State the camera's bits: `bits` in line.json, or --bits where a set is opened; or export "
        "it with 8 bits a channel.",
    )


def _fills_sixteen(values: NDArray[np.uint16], most: int, tagged: int) -> bool:
    """Whether samples of `tagged` bits were spread over 16, as PNG asks for (sBIT): they exceed
    `tagged` bits, or leave the lowest ones empty."""
    if most >> tagged:
        return True
    spread = FULL - tagged
    lowest = (1 << spread) - 1
    return most > 0 and spread > 0 and not any((part & lowest).any() for part in _parts(values))


def _parts(values: NDArray[np.uint16]) -> Iterator[NDArray[np.uint16]]:
    return (values[rows] for rows in strips(*values.shape[:2]))
