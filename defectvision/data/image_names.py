"""Which files are images by their names: the one list for readers, uploads and archives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
# Still pictures of kinds that are not read, or not under such a name. Videos and documents show
# no single part.
UNREAD_SUFFIXES = frozenset(
    {
        *(".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".arw", ".exr", ".fits", ".gif", ".hdr"),
        *(".heic", ".heif", ".j2k", ".jfif", ".jif", ".jp2", ".jpe", ".jxl", ".nef", ".orf"),
        *(".pam", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".qoi", ".raf", ".rw2", ".tga"),
    }
)


def is_image_name(name: str) -> bool:
    """Whether a file name (without folders) has an image suffix and is not hidden."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def unread_pictures(names: Iterable[str]) -> list[str]:
    """Of the file names of one folder those of pictures that are not read, but for raw photographs
    and others that lie beside an image of the same name."""
    unread: list[str] = []
    read = set()
    for name in names:
        if is_image_name(name):
            read.add(PurePosixPath(name).stem.casefold())
        elif not name.startswith(".") and PurePosixPath(name).suffix.lower() in UNREAD_SUFFIXES:
            unread.append(name)
    return sorted(name for name in unread if PurePosixPath(name).stem.casefold() not in read)
