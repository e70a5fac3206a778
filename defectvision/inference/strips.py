"""A picture some rows at a time, so that what is done to it needs no second copy of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from defectvision.inference.image_error import Refusal

STRIP_PIXELS = 1_000_000
UNKNOWN_RANGE = {
    "F": "32-bit float grey",
    "I": "32-bit integer grey",
    "LAB": "L*a*b* colour",
}


def strips(height: int, width: int) -> Iterator[slice]:
    """The rows of a picture of (height, width) px, about STRIP_PIXELS at a time."""
    step = max(1, STRIP_PIXELS // max(1, width))
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def rows_of(picture: Image.Image | NDArray[Any], rows: slice) -> NDArray[Any]:
    """(R, W) or (R, W, channels): rows of a decoded picture."""
    if isinstance(picture, np.ndarray):
        return picture[rows]
    if rows.start == 0 and rows.stop == picture.height:
        return np.asarray(picture)
    return np.asarray(picture.crop((0, rows.start, picture.width, rows.stop)))


def grey_or_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3) uint8 of a loaded picture of any mode that a reader gives, alpha blended
    over white; raises Refusal where the range of its samples is not known."""
    if image.mode in UNKNOWN_RANGE:
        raise Refusal(
            f"{UNKNOWN_RANGE[image.mode]}, whose range of values is not known",
            "Export it with 8 or 16 bits a channel.",
        )
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return whole(image)
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    grey = image.mode in ("1", "L", "LA", "La") or (
        palette is not None and palette[0::3] == palette[1::3] == palette[2::3]
    )
    width, height = image.size
    parts = [(0, rows.start, width, rows.stop) for rows in strips(height, width)]
    ignored = image.has_transparency_data and is_ignored(
        *(_alpha_ends(image.crop(part)) for part in parts)
    )
    pixels = np.empty((height, width) if grey else (height, width, 3), np.uint8)
    for part in parts:
        pixels[part[1] : part[3]] = blended(image.crop(part), grey, ignored)
    return pixels


def whole(image: Image.Image) -> NDArray[np.uint8]:
    """The picture of a loaded image of mode L or RGB; NumPy by itself makes two copies on the
    way."""
    width, height = image.size
    if width * height <= STRIP_PIXELS:
        return np.asarray(image)
    pixels = np.empty((height, width, 3) if image.mode == "RGB" else (height, width), np.uint8)
    for rows in strips(height, width):
        pixels[rows] = rows_of(image, rows)
    return pixels


def is_ignored(*alpha: tuple[int, int]) -> bool:
    """Whether an alpha channel says nothing, by the least and the largest value of its parts: all
    is 255, or the 0 that careless writers leave."""
    low, high = min(part[0] for part in alpha), max(part[1] for part in alpha)
    return low == high and low in (0, 255)


def blended(image: Image.Image, grey: bool, ignored: bool) -> NDArray[np.uint8]:
    """A strip as (R, W) or (R, W, 3) uint8; ignored: whether its alpha channel says nothing."""
    mode = "L" if grey else "RGB"
    if not image.has_transparency_data:
        return np.asarray(image if image.mode == mode else image.convert(mode))
    image = _with_alpha(image).convert("RGBA")
    alpha = image.getchannel("A")
    image = image.getchannel("R") if grey else image.convert("RGB")
    if ignored:
        return np.asarray(image)
    white = Image.new(image.mode, image.size, "white")
    white.paste(image, mask=alpha)
    return np.asarray(white)


def _alpha_ends(image: Image.Image) -> tuple[int, int]:
    """The least and the largest alpha value of a strip."""
    values = np.asarray(_with_alpha(image).getchannel("A"))
    return int(values.min()), int(values.max())


def _with_alpha(image: Image.Image) -> Image.Image:
    """A picture with an alpha channel that its other channels are not multiplied by."""
    if image.mode in ("LA", "RGBA"):
        return image
    return image.convert("LA" if image.mode == "La" else "RGBA")
