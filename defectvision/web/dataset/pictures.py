"""Pictures of a set with their masks drawn, small for the browser and large for one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from defectvision.audit.study import Study
from defectvision.data.catalog import CatalogError
from defectvision.data.masks import Masks
from defectvision.data.roots import NotAllowedError, opened
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.thumbnail import fit
from defectvision.report.dataset.style import class_colours
from defectvision.settings import settings

SMALL, LARGE = 260, 1600  # px
QUALITY = 88
TINT = 0.28  # how strongly a mask's inside takes its class's colour
LEAST_COVER = 0.02  # of a shrunk px; a thin defect must not vanish with the pixels it loses


def marked_picture(study: Study, image: int, longest: int, masks: bool = True) -> bytes:
    """JPEG of image number `image`, at most `longest` px on its longer side, its masks outlined
    and tinted in the class's colour.

    Raises ImageError where the image cannot be read.
    """
    return _drawn(_Subject(study.key, image, study), longest, masks)


def picture_file(study: Study, image: int) -> bytes:
    """The file of image number `image`. In a set below one of the folders that pages may read from
    no link leads out of that folder. Raises ImageError."""
    path, name = study.catalog.image_path(image), study.catalog.table["path"].iloc[image]
    folder = study.catalog.root.resolve()
    roots = (root.expanduser().resolve() for root in settings().source_roots)
    wall = next((root for root in roots if folder.is_relative_to(root)), None)
    try:
        with opened(path, wall) as file:
            return file.read()
    except NotAllowedError as error:
        raise ImageError(name, error.reason, error.remedy) from error
    except OSError as error:
        raise ImageError(name, f"cannot be read ({error.strerror})", "Check the file.") from error


@dataclass(frozen=True)
class _Subject:
    """An image of a study as one hashable thing: by its content's key, not by its tables."""

    key: str
    image: int
    study: Study = field(compare=False)


@lru_cache(maxsize=400)
def _drawn(subject: _Subject, longest: int, masks: bool) -> bytes:
    study, image = subject.study, subject.image
    catalog = study.catalog
    pixels = decode_image(
        picture_file(study, image),
        catalog.table["path"].iloc[image],
        study.image_set.limit_pixels,
        bits=study.image_set.bits,
    )
    shown = fit(pixels, longest)
    # A copy: what is drawn on must not be the decoded image itself.
    shown = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR)
    if masks:
        hue = class_colours(catalog, study.regions["label"])
        for label, mask in _masks(study, image, pixels.shape[:2]):
            reached = fit(mask.astype(np.uint8) * np.uint8(255), longest) > 255 * LEAST_COVER
            _draw(shown, reached.astype(np.uint8), ImageColor.getrgb(hue[label])[::-1])
    return cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _masks(study: Study, image: int, size: tuple[int, int]) -> Masks:
    """The masks of an image; none where they cannot be read, which the study's failures tell."""
    try:
        return study.image_set.masks(image, size)
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
