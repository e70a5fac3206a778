"""Pictures for the browser: small ones for the table, large ones for the viewer, as data URLs."""

from __future__ import annotations

import base64
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.images import decode_image
from defectvision.inference.thumbnail import THUMBNAIL_SIDE, fit
from defectvision.settings import settings

LARGEST_SIDE = 2048  # px of the picture in the viewer
LOSSLESS_PIXELS = 800_000  # up to this size nothing of a defect's edge is lost


def data_url(image: NDArray[np.uint8], suffix: str, quality: int = 92) -> str:
    """`image` (H, W), (H, W, 3) RGB or (H, W, 4) RGBA as a data URL; suffix `png` or `jpeg`."""
    if image.ndim == 3:
        code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(image, code)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == "jpeg" else []
    done, encoded = cv2.imencode(f".{suffix}", image, options)
    if not done:
        raise ValueError(f"an array of {image.shape} {image.dtype} cannot be written as {suffix}")
    return f"data:image/{suffix};base64,{base64.b64encode(encoded).decode('ascii')}"


def thumbnail(data: bytes, name: str, limit_pixels: int) -> str:
    """A small picture of an image file; raises ImageError where it cannot be decoded."""
    image = decode_image(data, name, limit_pixels)
    return data_url(fit(image, THUMBNAIL_SIDE), "jpeg", quality=80)


@lru_cache(maxsize=6)
def viewer_picture(data: bytes) -> str:
    """A large picture of an image file that decodes; lossless up to LOSSLESS_PIXELS."""
    image = fit(decode_image(data, "image", settings().limits.pixels), LARGEST_SIDE)
    small = image.shape[0] * image.shape[1] <= LOSSLESS_PIXELS
    return data_url(image, "png" if small else "jpeg")
