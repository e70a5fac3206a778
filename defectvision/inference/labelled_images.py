"""The images and masks of a labelled set as they are read from disk, and what is wrong with those
that cannot be: a damaged image is left out and named, the rest goes on."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray

from defectvision import roots
from defectvision.bundle.labels import is_good_label
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import ImageSet
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.sources import unreadable

log = logging.getLogger(__name__)

CHECK_FILE = "Check the file and its permissions."


def read_file(images: ImageSet, row: int) -> bytes:
    """The bytes of image number `row`; raises ImageError where it cannot be read."""
    try:
        return roots.content(images.catalog.image_path(row))
    except OSError as error:
        raise unreadable(image_name(images, row), error) from error


def read_pixels(images: ImageSet, row: int) -> NDArray[np.uint8]:
    """Image number `row` as (H, W) or (H, W, 3) uint8; raises ImageError where it cannot be read
    or decoded, and where it is larger than the set's limit."""
    return decode_image(
        read_file(images, row), image_name(images, row), images.limit_pixels, bits=images.bits
    )


def read_masks(
    images: ImageSet, row: int, size: tuple[int, int], classes: Sequence[str]
) -> NDArray[np.bool_] | None:
    """`ImageSet.class_masks` of image number `row`; raises ImageError where they cannot be read."""
    try:
        return images.class_masks(row, size, classes)
    except OSError as error:
        reason, remedy = f"cannot be read ({error.strerror or error})", CHECK_FILE
        raise ImageError(image_name(images, row), f"its mask {reason}", remedy) from error
    except CatalogError as error:
        reason, _, remedy = str(error).partition(". ")
        raise ImageError(
            image_name(images, row), f"its mask cannot be used ({reason})", remedy or CHECK_FILE
        ) from error


def image_name(images: ImageSet, row: int) -> str:
    """How image number `row` is named to people: its path within the set."""
    return str(images.catalog.table["path"].iloc[row])


def left_out(images: ImageSet) -> list[ImageError]:
    """What the set names or holds and its catalog does not, as failures of a run."""
    return [ImageError(x.name, x.reason, x.remedy) for x in images.catalog.left_out]


def readable(images: ImageSet, *, masks: bool) -> tuple[ImageSet, tuple[ImageError, ...]]:
    """The set without the images that cannot be read, and what is wrong with each of those, which
    is logged too.

    masks: whether an image needs a readable mask as well. One that is said to be good needs one
    that marks nothing, wherever it has any. Every image is decoded once, on all cores. Raises
    CatalogError where none is left, of the set or of one of its splits.
    """
    count = len(images.catalog)
    crew = Parallel(n_jobs=min(cpu_count(), max(1, count)), backend="threading")
    errors: list[ImageError | None] = crew(
        delayed(_error_of)(images, row, masks) for row in range(count)
    )
    damaged = tuple(error for error in errors if error is not None)
    unmatched = left_out(images)
    for error in unmatched:
        log.warning("left out  %s", error)
    if not damaged:
        return images, tuple(unmatched)
    if len(damaged) == count:
        raise CatalogError(
            f"{images.catalog.root}: none of its {count} images can be read. The first: "
            f"{damaged[0]}"
        )
    for error in damaged:
        log.warning("left out  %s", error)
    left = images.take(np.flatnonzero([error is None for error in errors]))
    emptied = set(images.catalog.table["split"]) - set(left.catalog.table["split"])
    if emptied:
        raise CatalogError(
            f"{images.catalog.root}: none of its images in split '{min(emptied)}' can be read. The "
            f"first of all: {damaged[0]}"
        )
    return left, (*unmatched, *damaged)


def _error_of(images: ImageSet, row: int, masks: bool) -> ImageError | None:
    try:
        size = read_pixels(images, row).shape[:2]
        if masks or is_good_label(images.catalog.table["label"].iloc[row]):
            read_masks(images, row, (size[0], size[1]), images.catalog.classes)
    except ImageError as error:
        return error
    return None
