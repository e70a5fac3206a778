"""The size and the turn of an image file from its head, without decoding a pixel of it, and what a
head says that Pillow passes on wrongly."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from defectvision.roots import opened

# The readers themselves, because Image.open has one limit for the whole process. WebP is left out:
# its reader lays out the canvas as soon as it opens.
READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
)

ORIENTATION = 0x0112
GREY = 0  # PNG's colour type


def image_size(file: Path | BinaryIO) -> tuple[int, int] | None:
    """Height and width in px as a JPEG, PNG, BMP or TIFF says, before EXIF turns it; None where
    no such head can be read."""
    if isinstance(file, Path):
        try:
            with opened(file) as stream:
                return image_size(stream)
        except OSError:
            return None
    for reader in READERS:
        try:
            with reader(file) as image:
                return image.height, image.width
        # Readers meet hostile bytes with errors of every kind (struct, SyntaxError, ...).
        except Exception:
            file.seek(0)
    return None


def image_orientation(file: Path) -> int:
    """The EXIF orientation by which a JPEG, PNG, TIFF or WebP is turned when it is decoded; 1, as
    it is stored, where the file tells none or cannot be read."""
    try:
        with opened(file) as stream:
            if stream.read(12)[8:] == b"WEBP":
                return _of_webp(stream)
        for reader in READERS:
            try:
                image = reader(file)
            except Exception:
                continue
            with image:
                if isinstance(image, PngImagePlugin.PngImageFile) and not _all_in_head(file):
                    image.load()  # what stands behind the pixels
                return Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # metadata as hostile as the rest
        pass
    return 1


def with_transparent_level(image: Image.Image, data: bytes) -> Image.Image:
    """A loaded picture; the transparent grey that a PNG of less than 8 bits names (PNG, 11.3.2.1)
    as its pixels have it. Pillow widens the pixels to 8 bits and not that grey, and of one bit it
    gives no alpha."""
    level = image.info.get("transparency")
    if not isinstance(image, PngImagePlugin.PngImageFile) or not isinstance(level, int):
        return image
    bits, kind = data[24:26]
    if bits >= 8 or kind != GREY:
        return image
    grey = image.convert("L")
    grey.info["transparency"] = level if bits == 1 else level * 255 // ((1 << bits) - 1)
    return grey


def _of_webp(stream: BinaryIO) -> int:
    shell = Image.Image()
    while len(head := stream.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        if key := {b"EXIF": "exif", b"XMP ": "xmp"}.get(head[:4]):
            shell.info[key] = stream.read(length)
            stream.seek(length % 2, io.SEEK_CUR)
        else:
            stream.seek(length + length % 2, io.SEEK_CUR)
    return shell.getexif().get(ORIENTATION, 1)


def _all_in_head(file: Path) -> bool:
    """Whether a PNG says nothing of itself behind its pixels."""
    behind = False
    with file.open("rb") as stream:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            behind |= head[4:] == b"IDAT"
            if behind and head[4:] in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return False
            stream.seek(int.from_bytes(head[:4], "big") + 4, io.SEEK_CUR)
    return True
