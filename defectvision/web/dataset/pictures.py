"""Pictures of a set with their masks drawn, small for the browser and large for one image."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from defectvision.audit.study import Study
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.image_set import ImageSet
from defectvision.data.masks import Masks
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.thumbnail import fit
from defectvision.report.dataset.style import ACCENT, class_colours
from defectvision.roots import NotAllowedError, opened
from defectvision.settings import settings

SMALL, WHOLE = 260, 1600  # px
QUALITY = 88
TINT = 0.28  # how strongly a mask's inside takes its class's colour
LEAST_COVER = 0.02  # of a shrunk px; a thin defect must not vanish with the pixels it loses


def marked_picture(study: Study, image: int, longest: int, masks: bool = True) -> bytes:
    """JPEG of image number `image`, at most `longest` px on its longer side, its masks outlined
    and tinted in the class's colour.

    Raises ImageError where the image cannot be read.
    """
    return _drawn(study.image_set, image, longest, masks, _hue(study))


@lru_cache(maxsize=8)
def _hue(study: Study) -> tuple[tuple[str, str], ...]:
    return tuple(class_colours(study.catalog, study.regions["label"]).items())


def picture_file(catalog: Catalog, image: int) -> bytes:
    """The file of image number `image`. In a set below one of the folders that pages may read from
    no link leads out of that folder. Raises ImageError."""
    path, name = catalog.image_path(image), catalog.table["path"].iloc[image]
    folder = catalog.root.resolve()
    roots = (root.expanduser().resolve() for root in settings().source_roots)
    wall = next((root for root in roots if folder.is_relative_to(root)), None)
    try:
        with opened(path, wall) as file:
            return file.read()
    except NotAllowedError as error:
        raise ImageError(name, error.reason, error.remedy) from error
    except OSError as error:
        raise ImageError(name, f"cannot be read ({error.strerror})", "Check the file.") from error


@lru_cache(maxsize=400)
def _drawn(
    image_set: ImageSet, image: int, longest: int, masks: bool, hue: tuple[tuple[str, str], ...]
) -> bytes:
    catalog = image_set.catalog
    pixels = decode_image(
        picture_file(catalog, image),
        catalog.table["path"].iloc[image],
        image_set.limit_pixels,
        bits=image_set.bits,
    )
    shown = fit(pixels, longest)
    # A copy: what is drawn on must not be the decoded image itself.
    shown = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR)
    if masks:
        for label, mask in _masks(image_set, image, pixels.shape[:2]):
            # While the regions are not read, a class of masks alone has no colour of its own.
            colour = ImageColor.getrgb(dict(hue).get(label, ACCENT))[::-1]
            reached = fit(mask.astype(np.uint8) * np.uint8(255), longest) > 255 * LEAST_COVER
            _draw(shown, reached.astype(np.uint8), colour)
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _masks(image_set: ImageSet, image: int, size: tuple[int, int]) -> Masks:
    """The masks of an image; none where they cannot be read, which the study's failures tell."""
    try:
        return image_set.masks(image, size)
    except (CatalogError, OSError):
        return []


def _draw(pixels: NDArray[np.uint8], mask: NDArray[np.uint8], colour: tuple[int, ...]) -> None:
    """Tint (H, W, 3) BGR `pixels` inside `mask` (H, W) of 0 and 1, and outline it."""
    inside = mask > 0
    if not inside.any():
        return
    mixed = (1 - TINT) * pixels[inside] + TINT * np.array(colour, np.float32)
    pixels[inside] = np.rint(mixed).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(pixels, outlines, -1, colour, 1)
