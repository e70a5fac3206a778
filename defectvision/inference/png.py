"""What a PNG says of its samples, and the file without its texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator

# Pillow refuses a file for the length of its texts, which do not concern the pixels.
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
