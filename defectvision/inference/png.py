"""What a PNG says of its samples, and the file without its texts."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from defectvision.inference.image_error import Refusal
from defectvision.inference.kinds import COPY_AGAIN

# Pillow refuses a file for the length of its texts, which do not concern the pixels.
_PIECE = 1 << 20
# Left, top and steps in px of the passes of an interlaced file (PNG, 8.2).
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}


def significant_bits(data: bytes) -> int | None:
    """The bits of a sample that mean something, by the chunk sBIT; None where it says nothing.

    Of the colour samples the largest number counts; an alpha sample's comes last and does not.
    """
    colours = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
    kind = data[25] if len(data) > 25 else 0
    for name, start, end in _chunks(data):
        if name == b"sBIT":
            bits = data[start:end][: colours.get(kind, 1)]
            return max(bits, default=0) or None
        if name == b"IDAT":
            return None
    return None


def png_orientation(data: bytes) -> int:
    """EXIF's, by the chunk eXIf; Pillow would decode the whole picture to look for it."""
    for name, start, end in _chunks(data):
        if name == b"eXIf":
            exif = Image.Exif()
            exif.load(b"Exif\0\0" + data[start:end])
            return exif.get(0x0112, 1)
    return 1


def check_png_end(data: bytes) -> None:
    """Raises Refusal for a PNG whose chunks end early, or whose pixels are not those that were
    written: their sums (CRC-32) are in the file, and Pillow does not look at them."""
    name = b""
    for name, start, end in _chunks(data):
        if name == b"IDAT":
            (written,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(memoryview(data)[start - 4 : end]) != written:
                raise Refusal("damaged or cut off (the sum of its data is wrong)", COPY_AGAIN)
        if name == b"IEND":
            return
    raise Refusal("damaged or cut off (its end is missing)", COPY_AGAIN)


def check_png_rows(data: bytes) -> None:
    """Raises Refusal where the coded data hold less than all rows; Pillow leaves the rest black."""
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(kind, 1)
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    wanted = 0
    for left, top, across, down in passes:
        wide, high = -(-(width - left) // across), -(-(height - top) // down)
        wanted += high * (1 + -(-wide * samples * bits // 8)) if wide > 0 < high else 0
    reader, found = zlib.decompressobj(), 0
    for name, start, end in _chunks(data):
        if name == b"IDAT":
            left_over = data[start:end]
            while left_over and found < wanted:
                found += len(reader.decompress(left_over, _PIECE))
                left_over = reader.unconsumed_tail
    found += len(reader.flush()) if found < wanted else 0
    if found < wanted:
        raise Refusal(
            "damaged or cut off (its header promises more rows than its data hold)", COPY_AGAIN
        )


def without_texts(data: bytes) -> bytes:
    """The file without the chunks that hold texts; the same object where it has none."""
    parts, begun, removed = [], 0, False
    for name, start, end in _chunks(data):
        if name in _TEXTS:
            parts.append(data[begun : start - 8])
            begun, removed = end + 4, True
    return b"".join([*parts, data[begun:]]) if removed else data


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of each chunk, as far as they make sense."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 8 + length
        if end + 4 > len(data):
            return
        yield name, at + 8, end
        at = end + 4
