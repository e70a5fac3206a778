"""Defect masks of a labelled set, from files beside its images or from its annotations.

Nothing that is marked is read as good: a mask or an annotation that yields no pixel is an error.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import is_good_name, label_names
from defectvision.data.catalog import CatalogError
from defectvision.data.mask_files import class_pixels, mask_pixels
from defectvision.data.outlines import draw_box, draw_polygons
from defectvision.data.rle.severstal import decode_rle

Masks = list[tuple[str, NDArray[np.bool_]]]
UNREADABLE = "unreadable"  # kind of an annotation whose `shape` is what is wrong with it


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

    Raises CatalogError where a mask cannot be read or has another size than the image, holds
    values that nobody explained, marks nothing although the image is said to show a defect, or
    marks something on an image that is said to be good.
    """
    masks: Masks = []
    if file is not None:
        masks += masks_of_file(file, label, classes or {}, size)
    if annotations is not None:
        masks += masks_of_annotations(annotations, *size)
    return masks


def masks_of_file(file: Path, label: str, names: dict[int, str], size: tuple[int, int]) -> Masks:
    """The (label, (H, W) bool) masks of a file of an image with `label`; see `mask_files`.

    Raises CatalogError as `masks_of_image` says, OSError where there is no file.
    """
    shown = [name for name in label_names(label) if not is_good_name(name)]
    if names:
        found = [(name, mask) for name, mask in class_pixels(file, names, size).items()]
    elif len(shown) > 1:
        raise CatalogError(
            f"{file.name}: one mask for {' and '.join(shown)}. Number the classes in the masks "
            "and name the numbers in classes.csv beside the images."
        )
    else:
        found = [(label or "defect", mask_pixels(file, size))]
    drawn = {name for name, mask in found if mask.any() and not is_good_name(name)}
    if not names and found[0][1].any() and not shown:
        drawn = {"a defect"}
    if drawn and not shown:
        raise CatalogError(
            f"{file.name}: marks {', '.join(sorted(drawn))} on an image that is labelled good. "
            "Correct the label or the mask."
        )
    if empty := [name for name in shown if name not in drawn]:
        raise CatalogError(
            f"{file.name}: marks no pixel of {', '.join(empty)}, which the image is said to show. "
            "Draw it, or leave the mask out where nobody has drawn one."
        )
    return found


def masks_of_annotations(rows: pd.DataFrame, height: int, width: int) -> Masks:
    """The masks of the annotation rows of one image; rows that only tell an area give none.

    Raises CatalogError for one that cannot be read, or that marks no pixel of the image.
    """
    masks: Masks = []
    for row in rows.itertuples():
        if row.kind == UNREADABLE:
            raise CatalogError(str(row.shape))
        made_for = getattr(row, "size", None)
        if isinstance(made_for, tuple) and made_for != (height, width):
            raise CatalogError(
                f"an annotation of {row.label} is made for {made_for[1]} x {made_for[0]} px, the "
                f"image has {width} x {height} px. Export it for the image as it stands upright."
            )
        if row.kind == "rle":
            mask = decode_rle(row.shape, height, width)
        elif row.kind == "polygon":
            mask = draw_polygons(row.shape, height, width)
        elif row.kind == "box":
            mask = draw_box(row.shape, height, width)
        else:
            continue
        if not mask.any():
            raise CatalogError(
                f"an annotation of {row.label} marks no pixel of the image. Draw it again, or "
                "take it out."
            )
        masks.append((row.label, mask))
    return masks
