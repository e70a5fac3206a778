"""Defect masks of a labelled set, from files beside its images or from its annotations.

Nothing that is marked is read as good: a mask or an annotation that yields no pixel is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import is_good_name, label_names
from defectvision.data.catalog import CatalogError
from defectvision.data.image_head import image_orientation
from defectvision.data.mask_files import class_pixels, mask_pixels
from defectvision.data.outlines import draw_box, draw_polygons
from defectvision.data.rle.severstal import decode_rle

Mask = tuple[str, NDArray[np.bool_]]
Masks = list[Mask]
UNREADABLE = "unreadable"  # kind of an annotation whose `shape` is what is wrong with it
IN_PX = ("rle", "polygon", "box")  # kinds that hold for one size and one turn of the image


def each_mask(
    size: tuple[int, int],
    *,
    file: Path | None = None,
    label: str = "",
    classes: dict[int, str] | None = None,
    annotations: pd.DataFrame | None = None,
    root: Path = Path(),
    photograph: str = "",
) -> Iterator[Mask]:
    """The (label, (H, W) bool) masks of one image of `size` (height, width), of its mask file and
    of its annotation rows, one at a time: an image may show hundreds of defects. A class may stand
    more than once. photograph: the image's path below `root`, as `ImageSet` has both.

    Raises CatalogError where a mask cannot be read or has another size than the image, holds
    values that nobody explained, marks nothing although the image is said to show a defect, or
    marks something on an image that is said to be good; and where an annotation may have been
    drawn on the image as it is stored or as its EXIF turns it.
    """
    if file is not None:
        yield from masks_of_file(file, label, classes or {}, size)
    if annotations is not None:
        yield from masks_of_annotations(annotations, *size, root, photograph)


def masks_of_file(file: Path, label: str, names: dict[int, str], size: tuple[int, int]) -> Masks:
    """The (label, (H, W) bool) masks of a file of an image with `label`; see `mask_files`.

    Raises CatalogError as `each_mask` says, OSError where there is no file.
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


def masks_of_annotations(
    rows: pd.DataFrame, height: int, width: int, root: Path = Path(), photograph: str = ""
) -> Iterator[Mask]:
    """The masks of the annotation rows of one image; rows that only tell an area give none.

    Raises CatalogError for one that cannot be read, that marks no pixel of the image, or of which
    nobody knows which way up it was drawn.
    """
    turn: int | None = None
    for row in rows.itertuples():
        if row.kind == UNREADABLE:
            raise CatalogError(str(row.shape))
        if row.kind in IN_PX:
            if turn is None:
                turn = image_orientation(root / photograph) if photograph else 1
            _check_upright(row.label, getattr(row, "size", None), (height, width), turn)
        mask = _drawn(row.kind, row.shape, height, width, root)
        if mask is None:
            continue
        if row.kind == "file" and is_good_name(row.label):
            if not mask.any():
                continue
            raise CatalogError(
                f"{row.shape}: marks a defect on an image that is labelled {row.label}. Correct "
                "the label or the mask."
            )
        if not mask.any():
            raise CatalogError(
                f"an annotation of {row.label} marks no pixel of the image. Draw it again, or "
                "take it out."
            )
        yield row.label, mask


def _check_upright(label: str, made_for: object, size: tuple[int, int], turn: int) -> None:
    """Refuse a shape in px that was made for another size than (height, width), or perhaps for
    the image as it is stored, which EXIF turns by `turn`."""
    height, width = size
    if isinstance(made_for, tuple) and made_for != size:
        raise CatalogError(
            f"an annotation of {label} is made for {made_for[1]} x {made_for[0]} px, the "
            f"image has {width} x {height} px. Export it for the image as it stands upright."
        )
    on_its_side = turn in (5, 6, 7, 8) and height != width
    if turn in range(2, 9) and not (isinstance(made_for, tuple) and on_its_side):
        raise CatalogError(
            f"which way up an annotation of {label} was drawn is not known: the image is turned "
            f"by its EXIF (orientation {turn}), and no size tells. Save the image upright and "
            "export the annotations again."
        )


def _drawn(kind: str, shape: Any, height: int, width: int, root: Path) -> NDArray[np.bool_] | None:
    """The (height, width) mask of an annotation, None for one that shows no place."""
    if kind == "rle":
        return decode_rle(shape, height, width)
    if kind == "polygon":
        return draw_polygons(shape, height, width)
    if kind == "box":
        return draw_box(shape, height, width)
    if kind == "relative polygon":
        sides = np.array([width, height], np.float64)
        scaled = [(np.asarray(p, np.float64).reshape(-1, 2) * sides).ravel() for p in shape]
        return draw_polygons([p.tolist() for p in scaled], height, width)
    if kind == "relative box":
        left, top, across, down = shape
        return draw_box([left * width, top * height, across * width, down * height], height, width)
    if kind == "file":
        return mask_pixels(root / shape, (height, width), numbered=True)
    return None
