"""Which picture of a TIFF is the picture, and what its samples are, before any is decoded."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PIL.TiffImagePlugin import COMPRESSION_INFO

from defectvision.inference.image_error import Refusal
from defectvision.inference.jpeg import check_jpeg
from defectvision.inference.kinds import DEVELOP
from defectvision.inference.whole import Segment, check_blank_end, cut_off, ends_blank

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

MOST_PAGES = 1000
NEW_SUBFILE_TYPE, SUBFILE_TYPE = 254, 255
MAX_SAMPLE_VALUE, SAMPLE_FORMAT, DNG_VERSION = 281, 339, 50706
CFA, LINEAR_RAW, SEPARATED = 32803, 34892, 5
READ_BITS = {1, 2, 4, 8, 16, 32}
JPEG, JPEG_TABLES = 7, 347
ENTROPY = {5, 8, 32946, 34925, 50000, 50001}  # LZW, Deflate, LZMA, Zstandard, WebP
EXPORT_8 = "Export it with 8 bits a channel."
EXPORT_PLAIN = "Export the picture alone, as a TIFF without further pages, or as PNG."


def check_tiff(data: bytes) -> int | None:
    """The bits of a sample that the file states, None where it states nothing; raises Refusal for
    a sound file whose picture is not read, and anything else for a damaged one.

    Never read in place of the picture: previews and thumbnails (NewSubfileType, SubIFDs, raw
    photographs), one page of several, one slice of an ImageJ stack. What is read beside it: pages
    and SubIFDs that are smaller copies or masks of the first page.
    """
    from tifffile import TiffFile  # asked for by TIFF files alone

    with TiffFile(io.BytesIO(data), _multifile=False) as file:
        first = file.pages.first
        _check_raw(data, first)
        _check_place(file, first)
        _check_samples(first)
        _check_end(data, first)
        return _stated_bits(first)


def _check_raw(data: bytes, first: TiffPage) -> None:
    if DNG_VERSION in first.tags or data[8:10] == b"CR":
        raise Refusal("a raw photograph", DEVELOP)
    if int(first.photometric) in (CFA, LINEAR_RAW):
        raise Refusal("raw sensor data (a Bayer pattern)", DEVELOP)


def _check_place(file: TiffFile, first: TiffPage) -> None:
    if _is_copy(first):
        raise Refusal("a TIFF in which a reduced copy stands first", EXPORT_PLAIN)
    size = _size(first)
    for inner in _inner(first):
        if _size(inner) > size:
            raise Refusal("a TIFF in which a reduced copy stands first", EXPORT_PLAIN)
    for number, page in enumerate(_pages(file)):
        if number and (not (_is_copy(page) or _is_mask(page)) or _size(page) > size):
            raise Refusal("a TIFF of several pages", "Save each page as an image of its own.")
    stack = re.match(r"ImageJ=.*?^images=(\d+)", first.description or "", re.S | re.M)
    if stack and int(stack[1]) > 1:
        raise Refusal(
            f"an ImageJ stack of {stack[1]} images", "Save each image as a file of its own."
        )


def _check_samples(first: TiffPage) -> None:
    bits = _numbers(first.bitspersample)
    formats = _numbers(_value(first, SAMPLE_FORMAT, 1))
    if formats & {2, 5} and max(bits) <= 16:
        raise Refusal(
            f"signed {max(bits)}-bit samples", "Export it with 8 or 16 bits a channel, unsigned."
        )
    if not bits <= READ_BITS:
        raise Refusal(f"samples of {max(bits - READ_BITS)} bits, packed", EXPORT_8)
    if len(bits) > 1:
        raise Refusal("samples of different bits a channel", EXPORT_8)
    if max(bits) == 16 and first.samplesperpixel > 1:
        if int(first.planarconfig) != 1:  # Pillow takes them for samples of 8 bits
            raise Refusal(
                "samples of 16 bits, those of each colour in a plane of its own",
                "Export it with the colours of a pixel side by side, or with 8 bits a channel.",
            )
        if int(first.photometric) == SEPARATED:
            raise Refusal("CMYK of 16 bits a channel", "Export it as RGB, or with 8 bits.")
    if int(first.compression) not in COMPRESSION_INFO:
        name = getattr(first.compression, "name", str(int(first.compression)))
        raise Refusal(f"a TIFF compressed as {name}", "Export it with LZW or without compression.")


def _check_end(data: bytes, first: TiffPage) -> None:
    """Raises Refusal where strips or tiles are missing, short, or were never written."""
    parts = [*zip(first.dataoffsets, first.databytecounts, strict=False)]
    if len(parts) < math.prod(first.chunked):
        raise cut_off(f"{len(parts)} of {math.prod(first.chunked)} parts of the picture are there")
    kind = int(first.compression)
    if kind == 1:
        check_blank_end(data, _segments(data, first, parts))
        return
    tables = _value(first, JPEG_TABLES, b"")
    if kind == JPEG and tables and not bytes(tables).endswith(b"\xff\xd9"):
        raise cut_off("the tables of its JPEG data end early")
    for place, (start, count) in enumerate(parts):
        coded = data[start : start + count]
        if kind == JPEG:
            if not coded.rstrip(b"\0").endswith(b"\xff\xd9"):
                raise cut_off("the end of its JPEG data is missing")
            rows = first.tilelength or first.rowsperstrip
            frame = check_jpeg(coded)
            if frame and frame.height < min(rows, first.imagelength - place * rows):
                raise cut_off("its header promises more rows than its data hold")
        if kind in ENTROPY and ends_blank(coded):
            raise cut_off("its data end in zeros")


def _segments(data: bytes, first: TiffPage, parts: list[tuple[int, int]]) -> list[Segment]:
    """The strips or tiles of a file without compression."""
    tiled = bool(first.tilewidth)
    width, rows = (first.tilewidth, first.tilelength) if tiled else (first.imagewidth, 0)
    samples = first.samplesperpixel if int(first.planarconfig) == 1 else 1
    bits = samples * max(_numbers(first.bitspersample))
    row, across = -(-width * bits // 8), -(-first.imagewidth // width)
    segments, left = [], first.imagelength
    for place, (start, count) in enumerate(parts):
        high = rows if tiled else min(first.rowsperstrip, left)
        # A count of 0 says nothing: some programs leave it out.
        if min(count or len(data), len(data) - start) < high * row:
            raise cut_off("its header promises more rows than its data hold")
        shown = min(width, first.imagewidth - place % across * width)  # the rest of a tile is blank
        segments.append(Segment(start, start + high * row, -(-shown * bits // 8), row))
        left = left - high or first.imagelength  # the next plane, where each has its own
    return segments


def _stated_bits(first: TiffPage) -> int | None:
    """By MaxSampleValue, where it is the largest value of a number of bits; some programs write
    the largest value of the picture there, which says nothing about the camera."""
    values = _numbers(_value(first, MAX_SAMPLE_VALUE, 0))
    most = max(values)
    bits = most.bit_length()
    return bits if most == (1 << bits) - 1 and 8 < bits <= 16 else None


def _pages(file: TiffFile) -> Iterator[TiffPage]:
    for number, page in enumerate(file.pages):
        if number >= MOST_PAGES:
            raise Refusal("a TIFF of several pages", "Save each page as an image of its own.")
        yield page.aspage()


def _inner(page: TiffPage) -> Iterator[TiffPage]:
    """The pictures below a page (SubIFDs)."""
    if page.subifds:
        yield from (inner.aspage() for inner in page.pages or ())


def _is_copy(page: TiffPage) -> bool:
    return bool(_value(page, NEW_SUBFILE_TYPE, 0) & 1) or _value(page, SUBFILE_TYPE, 1) == 2


def _is_mask(page: TiffPage) -> bool:
    return bool(_value(page, NEW_SUBFILE_TYPE, 0) & 4)


def _size(page: TiffPage) -> int:
    return page.imagewidth * page.imagelength


def _value(page: TiffPage, code: int, default: Any) -> Any:
    tag = page.tags.get(code)
    return default if tag is None else tag.value


def _numbers(value: int | tuple[int, ...]) -> set[int]:
    return set(value) if isinstance(value, tuple) else {int(value)}
