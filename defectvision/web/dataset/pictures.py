"""Pictures of a set with their masks drawn, small for the browser and large for one image."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from defectvision.audit.study import Study
from defectvision.data.catalog import CatalogError
from defectvision.data.masks import Masks
from defectvision.inference.images import ImageError, decode_image
from defectvision.report.dataset.charts import colours

SMALL, LARGE = 260, 1600  # px


def marked_picture(study: Study, image: int, longest: int, masks: bool = True) -> bytes:
    """JPEG of image number `image`, its masks outlined and tinted in the class's colour.

    Raises ImageError or OSError where the image cannot be read.
    """
    return _cached(_Key(study, image), longest, masks)


class _Key:
    """A study and an image as one hashable thing: its content's key, not the tables."""

    def __init__(self, study: Study, image: int) -> None:
        self.study, self.image = study, image

    def __hash__(self) -> int:
        return hash((self.study.key, self.image))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.study.key, self.image) == (
            other.study.key,
            other.image,
        )


@lru_cache(maxsize=400)
def _cached(key: _Key, longest: int, masks: bool) -> bytes:
    study, image = key.study, key.image
    catalog = study.catalog
    path = catalog.image_path(image)
    pixels = decode_image(
        path.read_bytes(), catalog.table["path"].iloc[image], study.image_set.limit_pixels
    )
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    size = pixels.shape[:2]
    factor = min(1.0, longest / max(size))
    shape = (max(1, round(size[1] * factor)), max(1, round(size[0] * factor)))
    shown = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA)
    if masks:
        hue = colours(catalog.classes)
        for label, mask in _masks(study, image, size):
            small = cv2.resize(mask.astype(np.uint8), shape, interpolation=cv2.INTER_AREA)
            if factor < 1:  # a thin defect must not vanish with the pixels it loses
                reached = cv2.resize(mask.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
                small = (reached > 0.02).astype(np.uint8)
            _draw(shown, small, ImageColor.getrgb(hue.get(label, "#e0762f")))
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88]
    )
    if not done:
        raise ImageError(path.name, "cannot be drawn", "Copy or export the image again.")
    return data.tobytes()


def _masks(study: Study, image: int, size: tuple[int, int]) -> Masks:
    """The masks of an image; none where they cannot be read, which the study's failures tell."""
    try:
        return study.image_set.masks(image, size)
    except (CatalogError, OSError):
        return []


def _draw(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, int, int]) -> None:
    inside = mask > 0
    if not inside.any():
        return
    tint = np.array(colour, np.float32)
    pixels[inside] = np.rint(0.72 * pixels[inside] + 0.28 * tint).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, colour, 1)
