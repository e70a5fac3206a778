"""A WebP file: what it says of its size and its end, and its pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin

from defectvision.inference.image_error import Refusal
from defectvision.inference.kinds import COPY_AGAIN
from defectvision.inference.strips import blended, grey_or_rgb, is_ignored, strips
from defectvision.inference.whole import LONGEST_ZEROS, cut_off, ends_blank


def webp_size(data: bytes) -> tuple[int, int]:
    """Canvas (width, height) of a WebP file, from its first chunk (RFC 9649)."""
    if len(data) < 30:
        raise Refusal("damaged or cut off (WebP header)", COPY_AGAIN)
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def check_webp_end(data: bytes) -> int:
    """Where the coded data of a WebP end if they end in zeros, else 0; raises Refusal where its
    chunks (RFC 9649) end early."""
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at = 12
    while at + 8 <= end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not name.isascii() or not name[:1].isalpha() or at + 8 + length > len(data):
            raise cut_off("its chunks end early")
        if name in (b"VP8 ", b"VP8L"):
            ended = at + 8 + length
            return ended if ends_blank(data[at + 8 : ended]) else 0
        at += 8 + length + length % 2
    return 0


def webp_pixels(image: WebPImagePlugin.WebPImageFile, data: bytes, ended: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of an opened picture, alpha blended over white; ended: by
    `check_webp_end`. Raises Refusal where it needs none of the zeros before that place.

    A flat picture ends in zeros by itself, and the decoder uses all of them: with other bytes there
    it comes out otherwise. Where zeros stand for data that were never written, it is done before.
    """
    values = _decoded(data, image)
    if values is None:
        return grey_or_rgb(image)  # which says what is wrong
    if ended and not any(_is_used(data, ended, other, values, image) for other in _OTHERS):
        raise cut_off("its data end in zeros")
    if values.shape[2] == 3:
        return values
    alpha = values[:, :, 3]
    ignored = is_ignored((int(alpha.min()), int(alpha.max())))
    pixels = np.empty((*values.shape[:2], 3), np.uint8)
    for rows in strips(*values.shape[:2]):
        strip = cv2.cvtColor(values[rows], cv2.COLOR_BGRA2RGBA)
        pixels[rows] = blended(Image.fromarray(strip), grey=False, ignored=ignored)
    return pixels


_OTHERS = (b"\x5a", b"\xff")


def _is_used(
    data: bytes,
    ended: int,
    other: bytes,
    values: NDArray[np.uint8],
    image: WebPImagePlugin.WebPImageFile,
) -> bool:
    changed = data[: ended - LONGEST_ZEROS] + other * (LONGEST_ZEROS - 1) + data[ended - 1 :]
    again = _decoded(changed, image)
    return again is None or not all(
        np.array_equal(again[rows], values[rows]) for rows in strips(*values.shape[:2])
    )


def _decoded(data: bytes, image: WebPImagePlugin.WebPImageFile) -> NDArray[np.uint8] | None:
    """(H, W, 3) RGB or (H, W, 4) BGRA, None where it cannot be decoded. Pillow's reader, which is
    one for animations, keeps three pictures to decode one."""
    flags = cv2.IMREAD_UNCHANGED if image.mode == "RGBA" else cv2.IMREAD_COLOR_RGB
    values = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    channels = 4 if image.mode == "RGBA" else 3
    if values is None or values.shape != (*image.size[::-1], channels):
        return None
    return values
