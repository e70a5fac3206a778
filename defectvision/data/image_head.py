"""The size of an image file from its head, without decoding a pixel of it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

# The readers themselves, because Image.open has one limit for the whole process. WebP is left out:
# its reader lays out the canvas as soon as it opens.
READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
)


def image_size(file: Path | BinaryIO) -> tuple[int, int] | None:
    """Height and width in px as a JPEG, PNG, BMP or TIFF says, before EXIF turns it; None where
    no such head can be read."""
    for reader in READERS:
        try:
            with reader(file) as image:
                return image.height, image.width
        # Readers meet hostile bytes with errors of every kind (struct, SyntaxError, ...).
        except Exception:
            if not isinstance(file, Path):
                file.seek(0)
    return None
