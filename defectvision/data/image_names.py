"""Which files are images by their names: the one list for readers, uploads and archives."""

from __future__ import annotations

from pathlib import PurePosixPath

IMAGE_SUFFIXES = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


def is_image_name(name: str) -> bool:
    """Whether a file name (without folders) has an image suffix and is not hidden."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
