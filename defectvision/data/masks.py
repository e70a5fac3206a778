"""Defect masks of a labelled set, from files beside its images or from its annotations."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError
from defectvision.data.image_head import image_size
from defectvision.data.rle.severstal import decode_rle

Masks = list[tuple[str, NDArray[np.bool_]]]


def masks_of_image(
    size: tuple[int, int],
    *,
    file: Path | None = None,
    label: str = "",
    classes: dict[int, str] | None = None,
    annotations: pd.DataFrame | None = None,
) -> Masks:
    """The (label, (H, W) bool) masks of one image of `size` (height, width), of its mask file and
    of its annotation rows. A class may stand more than once.

    Raises CatalogError where a mask cannot be read or has another size than the image.
    """
    masks: Masks = []
    if file is not None:
        masks += masks_of_file(file, label or "defect", classes or {}, size)
    if annotations is not None:
        masks += masks_of_annotations(annotations, *size)
    return masks


def masks_of_file(file: Path, label: str, names: dict[int, str], size: tuple[int, int]) -> Masks:
    """The (label, (H, W) bool) masks of a PNG: 255 is `label`, else the numbers of `names`.

    Published masks are sometimes smeared by compression: above 127 counts as 255 where no class
    numbers are named. Raises CatalogError where the file cannot be read, and, before a pixel of it
    is decoded, where it is not of `size` (height, width) px: the image was decoded within the
    limit, so its mask is within it too. Raises OSError where there is no file.
    """
    data = file.read_bytes()
    stored = image_size(io.BytesIO(data))
    # A mask may lie on its side in the file, as its EXIF tells.
    if stored is not None and sorted(stored) != sorted(size):
        raise _wrong_size(stored, size)
    values = None
    if stored is not None:
        with suppress(cv2.error):  # a size beyond its own limit
            values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if values is None:
        raise CatalogError(f"{file.name}: the mask cannot be read. Export it as PNG again.")
    if values.shape != size:
        raise _wrong_size(values.shape, size)
    if names:
        return [(name, values == number) for number, name in names.items() if number]
    return [(label, values > 127)]


def _wrong_size(mask: tuple[int, ...], image: tuple[int, int]) -> CatalogError:
    return CatalogError(
        f"the mask is {mask[1]} x {mask[0]} px, the image {image[1]} x {image[0]} px. Export the "
        "mask at the image's size."
    )


def masks_of_annotations(rows: pd.DataFrame, height: int, width: int) -> Masks:
    """The masks of the annotation rows of one image; rows that only tell an area give none."""
    found: Masks = []
    for row in rows.itertuples():
        if row.kind == "rle":
            found.append((row.label, decode_rle(row.shape, height, width)))
        elif row.kind in ("polygon", "box"):
            mask = np.zeros((height, width), np.uint8)
            parts = row.shape if row.kind == "polygon" else [_corners(row.shape)]
            outlines = [np.rint(np.array(p, float).reshape(-1, 2)).astype(np.int32) for p in parts]
            cv2.fillPoly(mask, [o for o in outlines if len(o) > 2], 1)
            found.append((row.label, mask.astype(bool)))
    return found


def _corners(box: list[float]) -> list[float]:
    left, top, width, height = box
    return [left, top, left + width, top, left + width, top + height, left, top + height]
