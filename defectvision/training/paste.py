"""Put a defect of one image onto a good place of another.

Where defects are rare and good surface is not, each defect is seen on many surfaces
(copy-paste augmentation, Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177, with the patch's
brightness brought to that of its new surroundings).
"""

from __future__ import annotations

import random
from dataclasses import replace

import cv2
import numpy as np

from defectvision.training.examples import Marked

MARGIN = 8  # px of surface around a defect that come with it, faded out


def paste_defect(onto: Marked, donor: Marked) -> Marked:
    """`onto` with one defect area of `donor` at a random place of it.

    Returns `onto` itself where the donor has no defect or none that fits.
    """
    present = np.flatnonzero(donor.masks.any((1, 2)))
    if not len(present):
        return onto
    chosen = random.choice(present.tolist())
    count, marks, stats, _ = cv2.connectedComponentsWithStats(donor.masks[chosen].astype(np.uint8))
    number = random.randrange(1, count)
    left, top, width, height, _ = stats[number]
    rows, columns = donor.masks.shape[1:]
    top, left = max(0, top - MARGIN), max(0, left - MARGIN)
    height, width = min(height + 2 * MARGIN, rows - top), min(width + 2 * MARGIN, columns - left)
    y = random.randint(0, onto.masks.shape[1] - height)
    x = random.randint(0, onto.masks.shape[2] - width)
    source = (slice(top, top + height), slice(left, left + width))
    target = (slice(y, y + height), slice(x, x + width))
    if not (onto.placed.visible[target].all() and donor.placed.visible[source].all()):
        return onto

    mask = marks[source] == number
    grown = cv2.dilate(mask.astype(np.float32), np.ones((MARGIN, MARGIN)))
    share = np.maximum(cv2.GaussianBlur(grown, (0, 0), MARGIN / 4), mask)
    patch = donor.placed.pixels[source].astype(np.float32)
    ground = onto.placed.pixels[target].astype(np.float32)
    if (~mask).any():
        patch = patch + (ground[~mask].mean(0) - patch[~mask].mean(0))
    share = share if patch.ndim == 2 else share[:, :, None]
    pixels, masks = onto.placed.pixels.copy(), onto.masks.copy()
    mixed = np.clip(ground * (1 - share) + patch * share, 0, 255)
    pixels[target] = np.rint(mixed).astype(np.uint8)
    masks[(chosen, *target)] |= mask
    return Marked(replace(onto.placed, pixels=pixels), masks, onto.known)
