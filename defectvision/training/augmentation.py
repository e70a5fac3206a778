"""Vary a placed image as parts, cameras and lamps vary."""

from __future__ import annotations

import math
import random

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from defectvision.bundle.schema import Preprocessing
from defectvision.inference.preprocessing import Placed, standardize
from defectvision.training.examples import Example, Marked
from defectvision.training.recipe import Augmentation

BLUR_SIDE = 5  # px of the blur's kernel
QUARTER_TURNS = tuple(
    np.array([[c, -s], [s, c]], float) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))
)


class Augment:
    """Callable from a Marked image to an Example without its label.

    All that moves a picture is one affine map, so that its pixels are sampled once. A picture whose
    masks are learned and not known is shrunk into the window, as nobody can tell whether a part of
    it shows what its label says. Where masks are known, those beside the picture are, too: empty,
    as a network that learns its label from what it draws reads all of the frame.
    """

    def __init__(self, augmentation: Augmentation, preprocessing: Preprocessing):
        self.augmentation = augmentation
        self.preprocessing = preprocessing
        # The networks take any size, and texture is the same in a part as in the whole.
        crop = augmentation.crop
        share = (crop, crop) if isinstance(crop, float) else crop
        self.window = (
            round(preprocessing.height * share[0]),
            round(preprocessing.width * share[1]),
        )
        frame = (preprocessing.height, preprocessing.width)
        self._middle = tuple(
            (side - part) // 2 for side, part in zip(frame, self.window, strict=True)
        )
        self._shrinking = max(side / part for side, part in zip(frame, self.window, strict=True))

    def __call__(self, marked: Marked) -> Example:
        whole = len(marked.masks) > 0 and not marked.known
        placed, masks = self._moved(marked.placed, marked.masks, self._shrinking if whole else 1)
        top, left = self._middle if whole else self._place_window(masks)
        part = (slice(top, top + self.window[0]), slice(left, left + self.window[1]))
        visible = placed.visible
        image = standardize(placed.pixels, visible, placed.inside, self.preprocessing)
        image = self._lit(np.ascontiguousarray(image[:, *part]), placed.inside[part])
        return Example(
            torch.from_numpy(image if visible.all() else image * visible[part]),
            torch.tensor(0),
            torch.from_numpy(np.ascontiguousarray(masks[:, *part])),
            torch.full(image.shape[1:], marked.known),
        )

    def _place_window(self, masks: NDArray[np.bool_]) -> tuple[int, int]:
        """Top and left of the window: anywhere, or around a place of one of the defects, each
        class as often as the others."""
        room = (masks.shape[1] - self.window[0], masks.shape[2] - self.window[1])
        wanted = any(room) and random.random() < self.augmentation.on_defect
        present = np.flatnonzero(masks.any((1, 2))) if wanted else np.zeros(0, int)
        if len(present):
            places = np.flatnonzero(masks[random.choice(present.tolist())])
            place = divmod(int(places[random.randrange(len(places))]), masks.shape[2])
            start = [
                at - random.randrange(side) for at, side in zip(place, self.window, strict=True)
            ]
        else:
            start = [random.randint(0, free) for free in room]
        top, left = (min(max(at, 0), free) for at, free in zip(start, room, strict=True))
        return top, left

    def _moved(
        self, placed: Placed, masks: NDArray[np.bool_], shrinking: float
    ) -> tuple[Placed, NDArray[np.bool_]]:
        linear, shift = self._map()
        linear = shrinking * linear
        if not shift.any() and np.array_equal(linear, np.eye(2)):
            return placed, masks
        height, width = placed.visible.shape
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        to_old = np.column_stack([linear, centre - linear @ (centre + shift * (width, height))])

        def moved(layer: NDArray[np.uint8], sampling: int) -> NDArray[np.uint8]:
            flags = sampling | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(layer, to_old, (width, height), flags=flags)

        def moved_mask(layer: NDArray[np.bool_]) -> NDArray[np.bool_]:
            return moved(layer.view(np.uint8), cv2.INTER_NEAREST).view(bool)

        visible = moved_mask(placed.visible)
        inside = visible if placed.inside is placed.visible else moved_mask(placed.inside)
        marks = np.zeros_like(masks)
        for number in np.flatnonzero(masks.any((1, 2))):
            marks[number] = moved_mask(masks[number])
        pixels = moved(placed.pixels, cv2.INTER_LINEAR)
        # Where the new picture shows another place of the image nobody asks.
        return Placed(pixels, visible, inside, placed.to_image, placed.part_found), marks

    def _map(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Drawn anew: the linear map (2, 2) from the new picture to the old one, about the centre,
        and the shift (2,) of the picture, in shares of its width and height."""
        how = self.augmentation
        linear, shift = np.eye(2), np.zeros(2)
        if how.rotation:
            angle = math.radians(random.uniform(-how.rotation, how.rotation))
            cos, sin = math.cos(angle), math.sin(angle)
            linear = np.array([[cos, -sin], [sin, cos]])
        if how.quarter_turns:
            linear = linear @ QUARTER_TURNS[random.randrange(4)]
        if how.zoom:
            linear = linear / random.uniform(1 - how.zoom, 1 + how.zoom)
        if how.stretch:  # one side, so that a round part becomes oval
            factor = 1 + random.uniform(0, how.stretch)
            linear[:, random.randrange(2)] /= factor
        mirrored = how.mirror and random.random() < 0.5
        turned = how.upside_down and random.random() < 0.5
        linear = linear * ((-1 if mirrored else 1), (-1 if turned else 1))
        if how.shift:
            shift = np.array([random.uniform(-how.shift, how.shift) for _ in range(2)])
        return linear, shift

    def _lit(self, image: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
        """image (channels, H, W) under another light, seen by another lens and sensor."""
        how = self.augmentation
        height, width = image.shape[1:]
        if how.contrast:
            image *= 1 + random.uniform(-how.contrast, how.contrast)
            image += random.uniform(-how.contrast, how.contrast)
        if how.gradient:
            angle, slope = random.uniform(0, 2 * math.pi), random.uniform(0, how.gradient)
            y = np.linspace(-slope, slope, height, dtype=np.float32)[:, None] * math.sin(angle)
            x = np.linspace(-slope, slope, width, dtype=np.float32) * math.cos(angle)
            falling = y + x
            image *= 1 + falling / 2
            image += falling
        if how.surroundings:
            image += np.where(inside, 0, random.gauss(0, how.surroundings)).astype(np.float32)
        if how.blur and random.random() < 0.5:
            sigma = random.uniform(0.1, how.blur)
            for plane in image:
                plane[:] = cv2.GaussianBlur(plane, (BLUR_SIDE, BLUR_SIDE), sigma)
        if how.noise and random.random() < 0.5:
            drawn = np.random.default_rng(random.getrandbits(32))
            image += random.uniform(0, how.noise) * drawn.standard_normal(image.shape, np.float32)
        return image
