"""How the model's input lies on an image, so that its maps can be drawn over the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

# What a grid holds: evidence, or probabilities x 255.
Value = TypeVar("Value", np.float32, np.uint8)


@dataclass(frozen=True, eq=False)
class Frame:
    """The model's input as it lies on an image; pixel centres lie on whole numbers.

    image_size, input_size: (height, width) px of the image and of the model's input; to_image:
    (2, 3) float64, input px to image px. A map of the model is a grid (h, w) that is spread evenly
    over the input.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    to_image: NDArray[np.float64]

    def on_image(self, grid: NDArray[Value], fill: float = 0.0) -> NDArray[Value]:
        """(H, W) values of `grid` (h, w), drawn smoothly over the image's pixels; those outside
        of the model's view get `fill`."""
        # One ring of repeated cells keeps the rim of the grid from fading towards `fill`.
        padded = cv2.copyMakeBorder(grid, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        unpadded = np.array([[1, 0, -1], [0, 1, -1], [0, 0, 1]])
        to_full = _square(self.grid_to_image(grid.shape)) @ unpadded
        return cv2.warpAffine(
            padded,
            to_full[:2],
            self.image_size[::-1],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )

    def grid_to_image(self, grid_size: tuple[int, ...]) -> NDArray[np.float64]:
        """(2, 3) map from the places of a grid of (h, w) to image px."""
        rows, columns = grid_size
        down, across = self.input_size[0] / rows, self.input_size[1] / columns
        grid_to_input = np.array(
            [[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]]
        )
        return (_square(self.to_image) @ grid_to_input)[:2]

    def shrunk(self, longest: int) -> Frame:
        """The frame on a copy of the image that has at most `longest` px on its longer side."""
        size = shrunk_size(self.image_size, longest)
        fx, fy = size[1] / self.image_size[1], size[0] / self.image_size[0]
        to_image = np.diag([fx, fy]) @ self.to_image
        to_image[:, 2] += [(fx - 1) / 2, (fy - 1) / 2]
        return replace(self, image_size=size, to_image=to_image)

    def window(self, left: int, top: int, right: int, bottom: int) -> Frame:
        """The frame on a part of the image, px `left` to `right` - 1 and `top` to `bottom` - 1."""
        to_image = self.to_image - np.array([[0, 0, left], [0, 0, top]])
        return replace(self, image_size=(bottom - top, right - left), to_image=to_image)


def shrunk_size(image_size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(height, width) of an image of `image_size` scaled down, where needed, to at most `longest`
    px on its longer side; no side falls below 1 px."""
    height, width = image_size
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _square(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([affine, [0, 0, 1]])
