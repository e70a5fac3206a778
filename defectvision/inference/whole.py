"""Whether a file that was decoded holds all of its picture: decoders fill what is missing."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, Image, JpegImagePlugin

from defectvision.inference.image_error import Refusal
from defectvision.inference.jpeg import JpegFrame, lacks_scans
from defectvision.inference.kinds import COPY_AGAIN
from defectvision.inference.strips import rows_of, strips

CORNER = 8  # px of a block of a JPEG
FILLS = (b"\x80", b"\x7f")  # of every sample of a block that a decoder has no data for: mid grey
# Data that any decoder of Huffman codes makes something of, and as much after every restart marker.
_SOME = bytes((i * 167 + 41) % 251 + 1 for i in range(1024))
MORE = 4 * _SOME + 2 * b"".join(bytes([0xFF, marker]) + _SOME for marker in range(0xD0, 0xD8))
LONGEST_ZEROS = 24  # bytes: hardly any compressed data end with more of them
BLANK = 64  # bytes at the end of a file before they are looked into
LEAST_ROWS = 2  # that hold nothing: with fewer it may be a corner of a turned picture
# Mean distance from the fill of the bytes above, of many and of a few. With less the picture itself
# may end so.
MANY, DISTANCE_OF_MANY, DISTANCE_OF_FEW = 8, 8.0, 32.0


def cut_off(what: str) -> Refusal:
    """The refusal of a file of which a part is missing."""
    return Refusal(f"damaged or cut off ({what})", COPY_AGAIN)


def check_jpeg_end(
    image: JpegImagePlugin.JpegImageFile,
    data: bytes,
    frame: JpegFrame,
    pixels: Image.Image | NDArray[np.uint8],
    reduction: int = 1,
) -> None:
    """Raises Refusal where the coded data of a JPEG end before its picture does.

    pixels: as decoded at 1/`reduction` of the sides, before it is turned. A decoder that runs out
    of data fills the rest with mid grey. A picture may be grey by itself: with more data before the
    end mark, only one whose own ended early comes out otherwise. In a file of several scans the
    missing ones may be the last refinement, which no grey gives away: it is always tried.
    """
    one_scan = frame.has_one_scan(data)
    if one_scan and not _is_filled(pixels, max(1, CORNER // reduction)):
        return
    if not one_scan and lacks_scans(data, frame):
        raise cut_off("scans of the JPEG are missing")
    end = data.find(b"\xff\xd9", frame.first_scan(data))
    more = data[:end] + MORE + data[end:]
    if not _decodes_to(pixels, more, image, reduction) and not (
        isinstance(pixels, np.ndarray)
        # Of another decoder than Pillow's, which may give other pixels for the same data.
        and _decodes_to(_decoded(data, image, reduction), more, image, reduction)
    ):
        raise cut_off("the data of the JPEG end before its picture does")


def _is_filled(pixels: Image.Image | NDArray[np.uint8], side: int) -> bool:
    """Whether the last corner is what a decoder puts there without data: mid grey, of inverted
    CMYK either one of the two values in the middle."""
    if isinstance(pixels, np.ndarray):
        corner = pixels[-1, -side:]
    else:
        width, height = pixels.size
        corner = np.asarray(pixels.crop((max(0, width - side), height - 1, width, height)))
    return any(corner.tobytes() == fill * corner.size for fill in FILLS)


def _decodes_to(
    pixels: Image.Image | NDArray[np.uint8],
    data: bytes,
    image: JpegImagePlugin.JpegImageFile,
    reduction: int,
) -> bool:
    again = _decoded(data, image, reduction)
    size = pixels.shape[1::-1] if isinstance(pixels, np.ndarray) else pixels.size
    return again.size == size and all(
        np.array_equal(rows_of(again, rows), rows_of(pixels, rows))
        for rows in strips(size[1], size[0])
    )


def _decoded(data: bytes, image: JpegImagePlugin.JpegImageFile, reduction: int) -> Image.Image:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as again:
        if reduction > 1:
            width, height = (-(-side // reduction) for side in image.size)
            again.draft(image.mode, (width, height))
        again.load()
        return again


@dataclass(frozen=True)
class Segment:
    """Rows of samples as they lie in a file: from byte `start`, `row` bytes of samples each, one
    every `stride` bytes, up to byte `end`."""

    start: int
    end: int
    row: int
    stride: int


def bitmap_segment(image: BmpImagePlugin.BmpImageFile, data: bytes) -> list[Segment]:
    """The samples of a BMP without compression; empty for others."""
    tile = image.tile[0] if image.tile else None
    if tile is None or tile.codec_name != "raw" or not isinstance(tile.args, tuple):
        return []
    (bits,) = struct.unpack_from("<H", data, 28) if len(data) > 30 else (8,)
    stride = tile.args[1]
    rows = image.size[1]
    return [Segment(tile.offset, tile.offset + rows * stride, image.size[0] * bits // 8, stride)]


def check_blank_end(data: bytes, segments: Iterable[Segment]) -> None:
    """Raises Refusal where the samples of a file stop in the middle of a row and nothing but one
    byte, 0 or 255, fills the rest, as an interrupted copy leaves it.

    A picture may end in black or white by itself: then whole rows of it do, or the row above does
    from that column on, too.
    """
    fill = data[-1:]
    if fill not in (b"\x00", b"\xff") or data[-BLANK:] != fill * BLANK:
        return
    begun = len(data.rstrip(fill))
    for part in segments:
        if not part.start + 2 * part.stride <= begun < part.end:
            continue
        column = (begun - part.start) % part.stride
        count, rows = part.row - column, (len(data) - begun) // part.stride
        if column == 0 or count < 1 or rows < LEAST_ROWS:
            continue
        above, before = (
            np.frombuffer(data, np.uint8, count, begun - back * part.stride).astype(int)
            for back in (1, 2)
        )
        above, before = abs(above - fill[0]), abs(before - fill[0])
        least = DISTANCE_OF_MANY if count >= MANY else DISTANCE_OF_FEW
        full = above.mean() > least and above.astype(bool).mean() >= 0.5
        if full and above.mean() >= before.mean() / 2:  # nor does the picture fade out there
            raise cut_off(f"the last {rows} rows that were written hold nothing")


def ends_blank(coded: bytes) -> bool:
    """Whether compressed data end in zeros, which none do by themselves."""
    return len(coded) - len(coded.rstrip(b"\0")) > LONGEST_ZEROS
