"""Labelled sets as other tools write them, with images of one grey."""

from pathlib import Path

import numpy as np
from PIL import Image

from defectvision.data.image_set import ImageSet, open_set
from defectvision.limits import PIXELS

SIZE = (20, 40)  # height, width


def write(root: Path, *images: str, size: tuple[int, int] = SIZE) -> Path:
    """Put grey images there."""
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, 90, np.uint8)).save(root / name)
    return root


def write_texts(root: Path, texts: dict[str, str | bytes]) -> Path:
    """Put files there."""
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def opened(root: Path) -> ImageSet:
    """The set."""
    return open_set(root, PIXELS)


def labels(images: ImageSet) -> dict[str, str]:
    """The label of each path."""
    table = images.catalog.table
    return dict(zip(table["path"], table["label"], strict=True))


def rectangle(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = SIZE):
    """A (height, width) bool mask of a rectangle, its ends not in it."""
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def masks(images: ImageSet, path: str, size: tuple[int, int] = SIZE) -> list:
    """The (label, mask) pairs of the image at `path`."""
    return images.masks(images.catalog.table["path"].tolist().index(path), size)
