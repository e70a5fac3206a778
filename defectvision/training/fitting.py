"""The model's input as the pictures of a set suggest it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.schema import Preprocessing
from defectvision.data.image_head import image_size
from defectvision.data.image_set import ImageSet
from defectvision.inference.images import ImageError
from defectvision.inference.labelled_images import read_pixels
from defectvision.inference.preprocessing import place
from defectvision.training.recipe import Recipe

log = logging.getLogger(__name__)

ENLARGED = 2.0  # most that a small picture is
STEP = 32  # px, of the sides of the model's input
SAME_SHAPE = 1.03  # largest ratio between the aspect ratios of pictures that are of one shape
LOOKED_AT = 20  # pictures that tell whether the set is in colour and shows round parts
ROUND = 0.95  # share of them that do
FILLED = 0.6  # share of the picture's shorter side that such a part takes at least


def fitted(recipe: Recipe, images: ImageSet) -> Recipe:
    """The recipe with the input's size, fit and channels as the pictures suggest: a round part is
    cut out, where nearly all show one; else the median shape."""
    how = recipe.memory
    if how is None:
        return recipe
    pictures = list(_some_pixels(images))
    colour = any(x.ndim == 3 and (x != x[:, :, :1]).any() for x in pictures)
    cut = recipe.preprocessing.model_copy(
        update={
            **{"height": how.longest_side, "width": how.longest_side, "fit": "round_part"},
            "channels": 3 if colour else 1,
        }
    )
    found = sum(_shows_round_part(pixels, cut) for pixels in pictures)
    if found >= ROUND * max(1, len(pictures)):
        log.info("round parts are cut out: %d of %d pictures show one", found, len(pictures))
        return recipe.model_copy(update={"preprocessing": cut})
    sizes = [image_size(images.catalog.root / path) for path in images.catalog.table["path"]]
    known = np.array([size for size in sizes if size is not None], float).reshape(-1, 2)
    if not len(known):
        known = np.array([picture.shape[:2] for picture in pictures], float)
    shapes = known[:, 1] / known[:, 0]
    height, width = np.median(known, axis=0)
    scale = min(ENLARGED, how.longest_side / max(height, width))
    height, width = (max(STEP, STEP * round(side * scale / STEP)) for side in (height, width))
    fit = "stretch" if shapes.max() / shapes.min() <= SAME_SHAPE else "letterbox"
    chosen = cut.model_copy(update={"height": height, "width": width, "fit": fit})
    return recipe.model_copy(update={"preprocessing": chosen})


def shrunk(recipe: Recipe, images: ImageSet) -> float:
    """px of the pictures per px of the input, in the middle of some; 1 where none can be read."""
    how = recipe.preprocessing
    scales = [
        float(np.linalg.norm(place(pixels, how).to_image[:, :2], axis=0).max())
        for pixels in _some_pixels(images)
    ]
    return float(np.median(scales)) if scales else 1.0


def _shows_round_part(pixels: NDArray[Any], cut: Preprocessing) -> bool:
    """Whether a round part fills most of the picture: a hole in a plate is none."""
    placed = place(pixels, cut)
    shown = cut.height * float(np.linalg.norm(placed.to_image[:, 1]))
    return placed.part_found and shown >= FILLED * min(pixels.shape[:2])


def _some_pixels(images: ImageSet) -> Iterator[NDArray[Any]]:
    """The pixels of up to LOOKED_AT pictures, spread over the set."""
    for row in np.linspace(0, len(images.catalog) - 1, LOOKED_AT).astype(int)[
        : len(images.catalog)
    ]:
        try:
            yield read_pixels(images, int(row))
        except ImageError:
            continue
