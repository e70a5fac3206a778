"""Small pictures as files of every format that is read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

# Smooth, unsymmetric, no constant row or column: a turn or a mirror shows, and JPEG stays close.
ROWS, COLUMNS = np.mgrid[:24, :40]
GREY = (20 + 5 * ROWS + 2 * COLUMNS).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)
BINARY = GREY > 100
SIXTEEN = GREY.astype(np.uint16) * 257


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(kind: str, **options: Any) -> bytes:
    return saved(Image.fromarray(GREY), kind, **options)


def rgb(kind: str, **options: Any) -> bytes:
    return saved(Image.fromarray(RGB), kind, **options)


def palette_image(colours: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray((GREY > 100).astype(np.uint8))
    image.putpalette([value for colour in colours for value in colour])
    return image
