"""The model's input as the pictures of a set suggest it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision.data.image_head import image_size
from defectvision.data.image_set import ImageSet
from defectvision.inference.images import ImageError
from defectvision.inference.labelled_images import read_pixels
from defectvision.inference.preprocessing import place
from defectvision.training.recipe import Recipe

log = logging.getLogger(__name__)

STEP = 32  # px, of the sides of the model's input
SAME_SHAPE = 1.03  # largest ratio between the aspect ratios of pictures that are of one shape
LOOKED_AT = 20  # pictures that tell whether the set is in colour and shows round parts
ROUND = 0.95  # share of them that do


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
    found = sum(place(pixels, cut).part_found for pixels in pictures)
    if found >= ROUND * max(1, len(pictures)):
        log.info("round parts are cut out: %d of %d pictures show one", found, len(pictures))
        return recipe.model_copy(update={"preprocessing": cut})
    sizes = [image_size(images.catalog.root / path) for path in images.catalog.table["path"]]
    known = np.array([size for size in sizes if size is not None], float).reshape(-1, 2)
    if not len(known):
        known = np.array([picture.shape[:2] for picture in pictures], float)
    shapes = known[:, 1] / known[:, 0]
    height, width = np.median(known, axis=0)
    scale = min(1.0, how.longest_side / max(height, width))
    height, width = (max(STEP, STEP * round(side * scale / STEP)) for side in (height, width))
    fit = "stretch" if shapes.max() / shapes.min() <= SAME_SHAPE else "letterbox"
    chosen = cut.model_copy(update={"height": height, "width": width, "fit": fit})
    return recipe.model_copy(update={"preprocessing": chosen})


def _some_pixels(images: ImageSet) -> Iterator[NDArray[Any]]:
    """The pixels of up to LOOKED_AT pictures, spread over the set."""
    for row in np.linspace(0, len(images.catalog) - 1, LOOKED_AT).astype(int)[
        : len(images.catalog)
    ]:
        try:
            yield read_pixels(images, int(row))
        except ImageError:
            continue
