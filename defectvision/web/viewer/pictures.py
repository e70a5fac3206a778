"""Pictures for the browser, as data URLs: the large ones of the viewer, of those opened last."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.inference.images import decode_image
from defectvision.inference.thumbnail import fit

LARGEST_SIDE = 2048  # px of the picture in the viewer
LOSSLESS_PIXELS = 800_000  # up to this size nothing of a defect's edge is lost
MOST_KEPT = 6


@dataclass
class Pictures:
    """The large pictures of the images that were open last, by the digest of their file."""

    urls: dict[str, str] = field(default_factory=dict)

    def of(self, digest: str, data: bytes, limit_pixels: int, bits: int | None) -> str:
        """The picture of an image file, decoded where it is not kept; raises ImageError."""
        if digest not in self.urls:
            self.keep(digest, decode_image(data, "image", limit_pixels, bits=bits))
        return self.urls[digest]

    def keep(self, digest: str, pixels: NDArray[np.uint8]) -> None:
        """Keep the picture of decoded `pixels` (H, W) or (H, W, 3) RGB in place of the oldest."""
        self.urls[digest] = viewer_picture(pixels)
        while len(self.urls) > MOST_KEPT:
            del self.urls[next(iter(self.urls))]


def viewer_picture(pixels: NDArray[np.uint8]) -> str:
    """A large picture as a data URL; lossless up to LOSSLESS_PIXELS."""
    image = fit(pixels, LARGEST_SIDE)
    small = image.shape[0] * image.shape[1] <= LOSSLESS_PIXELS
    return data_url(image, "png" if small else "jpeg")


def data_url(image: NDArray[np.uint8], suffix: str, quality: int = 92) -> str:
    """`image` (H, W), (H, W, 3) RGB or (H, W, 4) RGBA as a data URL; suffix `png` or `jpeg`."""
    if image.ndim == 3:
        code = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(image, code)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == "jpeg" else []
    done, encoded = cv2.imencode(f".{suffix}", image, options)
    if not done:
        raise ValueError(f"an array of {image.shape} {image.dtype} cannot be written as {suffix}")
    return encoded_url(encoded.tobytes(), suffix)


def encoded_url(content: bytes, suffix: str) -> str:
    """A picture file as a data URL."""
    return f"data:image/{suffix};base64,{base64.b64encode(content).decode('ascii')}"
