"""Vary a placed image as parts, cameras and lamps vary."""

from __future__ import annotations

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from defectvision.bundle.schema import Preprocessing
from defectvision.inference.preprocessing import Placed, standardize
from defectvision.training.examples import Example, Marked
from defectvision.training.recipe import Augmentation


class Augment:
    """Callable from a Marked image to an Example without its label."""

    def __init__(self, augmentation: Augmentation, preprocessing: Preprocessing):
        self.augmentation = augmentation
        self.preprocessing = preprocessing
        shift, zoom = augmentation.shift, augmentation.zoom
        self.moves = any((augmentation.rotation, zoom, shift))
        self.affine = v2.RandomAffine(
            degrees=augmentation.rotation,
            translate=(shift, shift) if shift else None,
            scale=(1 - zoom, 1 + zoom) if zoom else None,
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        # The networks take any size, and texture is the same in a part as in the whole.
        crop = augmentation.crop
        share = (crop, crop) if isinstance(crop, float) else crop
        self.window = (
            round(preprocessing.height * share[0]),
            round(preprocessing.width * share[1]),
        )

    def __call__(self, marked: Marked) -> Example:
        pixels, visible, inside, masks = self._move(marked.placed, marked.masks)
        image = torch.from_numpy(standardize(pixels, visible, inside, self.preprocessing))
        image = self._light(image, torch.from_numpy(visible), torch.from_numpy(inside))
        top, left = self._place_window(masks)
        part = (slice(top, top + self.window[0]), slice(left, left + self.window[1]))
        return Example(
            image[:, *part].contiguous(),
            torch.tensor(0),
            torch.from_numpy(np.ascontiguousarray(masks[:, *part])),
            torch.from_numpy(np.ascontiguousarray(visible[part] & marked.known)),
        )

    def _place_window(self, masks: NDArray[np.bool_]) -> tuple[int, int]:
        """Top and left of the window: anywhere, or around a place of one of the defects, each
        class as often as the others."""
        room = (masks.shape[1] - self.window[0], masks.shape[2] - self.window[1])
        present = np.flatnonzero(masks.any((1, 2)))
        if len(present) and any(room) and random.random() < self.augmentation.on_defect:
            places = np.argwhere(masks[random.choice(present.tolist())])
            place = places[random.randrange(len(places))]
            start = [
                int(at) - random.randrange(side)
                for at, side in zip(place, self.window, strict=True)
            ]
        else:
            start = [random.randint(0, free) for free in room]
        top, left = (min(max(at, 0), free) for at, free in zip(start, room, strict=True))
        return top, left

    def _move(
        self, placed: Placed, marks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
        pixels = np.atleast_3d(placed.pixels).transpose(2, 0, 1)
        image = tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(pixels)))
        stack = np.concatenate([placed.visible[None], placed.inside[None], marks])
        masks = tv_tensors.Mask(torch.from_numpy(stack.astype(np.uint8)))
        if self.augmentation.mirror and random.random() < 0.5:
            image, masks = (
                v2.functional.horizontal_flip(image),
                v2.functional.horizontal_flip(masks),
            )
        if self.augmentation.upside_down and random.random() < 0.5:
            image, masks = v2.functional.vertical_flip(image), v2.functional.vertical_flip(masks)
        if self.augmentation.quarter_turns:
            turns = random.randrange(4)
            image, masks = image.rot90(turns, (1, 2)), masks.rot90(turns, (1, 2))
            image, masks = tv_tensors.Image(image), tv_tensors.Mask(masks)
        if self.augmentation.stretch:
            image, masks = self._stretch(image, masks)
        if self.moves:
            image, masks = self.affine(image, masks)
        visible, inside, *moved = masks.numpy().astype(bool)
        marks = np.stack(moved) if moved else np.zeros((0, *visible.shape), bool)
        return image.numpy().transpose(1, 2, 0), visible, inside, marks

    def _stretch(
        self, image: tv_tensors.Image, masks: tv_tensors.Mask
    ) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Enlarge one side and crop back: the part becomes oval, none of the frame is empty."""
        height, width = image.shape[1:]
        factor = 1 + random.uniform(0, self.augmentation.stretch)
        size = (
            (round(height * factor), width)
            if random.random() < 0.5
            else (
                height,
                round(width * factor),
            )
        )
        stretch = v2.Compose([v2.Resize(size, antialias=False), v2.CenterCrop((height, width))])
        return stretch(image, masks)

    def _light(self, image: Tensor, visible: Tensor, inside: Tensor) -> Tensor:
        how = self.augmentation
        height, width = image.shape[1:]
        if how.contrast:
            image = image * (1 + random.uniform(-how.contrast, how.contrast))
            image = image + random.uniform(-how.contrast, how.contrast)
        if how.gradient:
            angle = random.uniform(0, 2 * np.pi)
            y = torch.linspace(-1, 1, height)[:, None] * np.sin(angle)
            x = torch.linspace(-1, 1, width)[None, :] * np.cos(angle)
            slope = random.uniform(0, how.gradient)
            image = image * (1 + 0.5 * slope * (x + y)) + slope * (x + y)
        if how.surroundings:
            image = torch.where(inside, image, image + random.gauss(0, how.surroundings))
        if how.blur and random.random() < 0.5:
            image = v2.functional.gaussian_blur(image, [5, 5], [random.uniform(0.1, how.blur)] * 2)
        if how.noise and random.random() < 0.5:
            image = image + random.uniform(0, how.noise) * torch.randn_like(image)
        return image * visible
