"""From a decoded image to the model's input, and back from the model's grid to the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.schema import Preprocessing
from defectvision.inference.images import decode_reduced
from defectvision.inference.part import find_round_part

BY_AREA = 1.6  # px of the image per px of the frame from which on it is shrunk by area
PART_RADIUS = 0.45  # of the input's side, for fit = round_part
MARGIN = 1.06  # radii that stay visible: burrs stand out beyond the outline


@dataclass(frozen=True)
class Placed:
    """An image laid into the model's input frame.

    pixels: (H, W) or (H, W, 3) uint8; visible: (H, W) bool, False where nothing of the image
    lies or the table is blanked; inside: (H, W) bool, the part itself (all that is visible
    where no part is looked for); to_image: (2, 3) float64, input px to image px.
    """

    pixels: NDArray[np.uint8]
    visible: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    to_image: NDArray[np.float64]
    part_found: bool


def place(
    image: NDArray[np.uint8], preprocessing: Preprocessing, size: tuple[int, int] | None = None
) -> Placed:
    """Lay `image` (H, W) or (H, W, 3) RGB uint8 into the frame that `preprocessing` describes;
    `size` as in `prepare`."""
    reduction = 1
    if size is not None and size != image.shape[:2]:
        reduction = allowed_reduction(size, preprocessing)
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if preprocessing.channels == 1:
        image = grey
    elif image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    part = find_round_part(grey) if preprocessing.fit == "round_part" else None
    if part is not None:
        cos, sin = np.cos(part.angle), np.sin(part.angle)
        turn = np.array([[cos, -sin], [sin, cos]])
        radius = PART_RADIUS * min(preprocessing.height, preprocessing.width)
        # Stretch along the ellipse's own axes without turning the part.
        linear = turn @ np.diag([part.semi_a, part.semi_b]) @ turn.T / radius
        to_image = _about_centre(linear, (part.x, part.y), preprocessing)
        distance = _distance_from_centre(preprocessing.height, preprocessing.width) / radius
        visible, inside = distance <= MARGIN, distance <= 1.0
    else:
        height, width = (side / reduction for side in size or grey.shape)
        scale = np.array([width / preprocessing.width, height / preprocessing.height])
        if preprocessing.fit != "stretch":
            scale[:] = scale.max()
        to_image = _about_centre(np.diag(scale), ((width - 1) / 2, (height - 1) / 2), preprocessing)
        visible = inside = _covered(to_image, (height, width), preprocessing)
    pixels = warp(image, to_image, preprocessing)
    if not visible.all():
        pixels[~visible] = 0
    if reduction > 1:  # pixel i shows the whole image's from reduction * i on
        to_image = to_image * reduction
        to_image[:, 2] += (reduction - 1) / 2
    return Placed(pixels, visible, inside, to_image, part is not None)


def standardize(
    pixels: NDArray[np.uint8] | NDArray[np.float32],
    visible: NDArray[np.bool_],
    inside: NDArray[np.bool_],
    preprocessing: Preprocessing,
) -> NDArray[np.float32]:
    """Placed pixels to the model's input: (channels, H, W) float32, 0 where nothing is visible."""
    values = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if preprocessing.lighting == "image":
        part = inside.astype(np.uint8) if inside.any() and not inside.all() else None
        means, spreads = (found[:, 0] for found in cv2.meanStdDev(values, mask=part))
        mean = means.mean()
        spread = np.sqrt((spreads**2 + means**2).mean() - mean**2)
        factor, offset = 1 / max(spread, preprocessing.least_contrast), mean
    else:
        factor, offset = 1 / (255 * np.array(preprocessing.std)), 255 * np.array(preprocessing.mean)
    planes = (values - np.asarray(offset, np.float32)) * np.asarray(factor, np.float32)
    if not visible.all():
        planes *= visible[:, :, None]
    return np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32)


def read_image(
    data: bytes, name: str, preprocessing: Preprocessing, limit_pixels: int, bits: int | None
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode an image file no larger than its placing needs: its pixels, and the (height, width)
    of the whole image. bits: see `Line`. Raises ImageError."""
    reduction = partial(allowed_reduction, preprocessing=preprocessing)
    return decode_reduced(data, name, reduction, limit_pixels, bits=bits)


def allowed_reduction(image_size: tuple[int, int], preprocessing: Preprocessing) -> int:
    """1, 2, 4 or 8: by how much the sides of an image of (height, width) may be reduced before
    it is placed, so that placing still shrinks it by area, as it would the whole image. A part that
    must be found first may be small in its image, which is therefore not reduced."""
    if preprocessing.fit == "round_part":
        return 1
    shrinks = image_size[0] / preprocessing.height, image_size[1] / preprocessing.width
    shrink = min(shrinks) if preprocessing.fit == "stretch" else max(shrinks)
    return max((r for r in (2, 4, 8) if r * BY_AREA < shrink), default=1)


def prepare(
    image: NDArray[np.uint8], preprocessing: Preprocessing, size: tuple[int, int] | None = None
) -> tuple[NDArray[np.float32], Placed]:
    """The model's input (channels, H, W) float32 for `image`, and how it was placed.

    size: (height, width) of the whole image, where `read_image` gave a smaller one.
    """
    placed = place(image, preprocessing, size)
    return standardize(placed.pixels, placed.visible, placed.inside, preprocessing), placed


def _about_centre(
    linear: NDArray[np.float64], image_centre: tuple[float, float], preprocessing: Preprocessing
) -> NDArray[np.float64]:
    """Affine map whose linear part is `linear` and that takes the frame's centre to the image's."""
    frame_centre = np.array([(preprocessing.width - 1) / 2, (preprocessing.height - 1) / 2])
    return np.column_stack([linear, np.array(image_centre) - linear @ frame_centre])


@lru_cache(maxsize=8)
def _distance_from_centre(height: int, width: int) -> NDArray[np.float64]:
    y, x = np.ogrid[:height, :width]
    return np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)


def _covered(
    to_image: NDArray[np.float64], image_size: tuple[float, float], preprocessing: Preprocessing
) -> NDArray[np.bool_]:
    """(H, W) bool: the frame's pixels that lie on the image (the maps used here do not shear)."""
    x = to_image[0, 0] * np.arange(preprocessing.width) + to_image[0, 2]
    y = to_image[1, 1] * np.arange(preprocessing.height) + to_image[1, 2]
    on_x = (x > -0.5 - 1e-6) & (x < image_size[1] - 0.5 + 1e-6)
    on_y = (y > -0.5 - 1e-6) & (y < image_size[0] - 0.5 + 1e-6)
    return on_y[:, None] & on_x[None, :]


def warp(
    image: NDArray[np.uint8], to_image: NDArray[np.float64], preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """Sample `image` on the frame by the map `to_image`; shrink by area first where bilinear
    sampling would alias."""
    shrink = float(np.sqrt(abs(np.linalg.det(to_image[:, :2]))))
    if shrink > BY_AREA:
        factor = 1.0 / shrink
        height, width = image.shape[:2]
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        fx, fy = size[0] / width, size[1] / height
        down = np.array([[fx, 0, (fx - 1) / 2], [0, fy, (fy - 1) / 2]])
        to_image = down @ np.vstack([to_image, [0, 0, 1]])
    return cv2.warpAffine(
        image,
        to_image,
        (preprocessing.width, preprocessing.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
