"""Vary a placed image as parts, cameras and lamps vary."""

from __future__ import annotations

import random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from defectvision.inference.preprocessing import Placed, Preprocessing, standardize
from defectvision.training.recipe import Augmentation


class Augment:
    """Callable from a Placed image to the model's input (channels, H, W) float32."""

    def __init__(self, how: Augmentation, preprocessing: Preprocessing):
        self.how = how
        self.preprocessing = preprocessing
        self.moves = any((how.rotation, how.zoom, how.shift))
        self.affine = v2.RandomAffine(
            degrees=how.rotation,
            translate=(how.shift, how.shift) if how.shift else None,
            scale=(1 - how.zoom, 1 + how.zoom) if how.zoom else None,
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        # The networks take any size, and texture is the same in a part as in the whole.
        size = (round(preprocessing.height * how.crop), round(preprocessing.width * how.crop))
        self.window = v2.RandomCrop(size)

    def __call__(self, placed: Placed) -> Tensor:
        pixels, visible, inside = self._move(placed)
        image = torch.from_numpy(standardize(pixels, visible, inside, self.preprocessing))
        image = self._light(image, torch.from_numpy(visible), torch.from_numpy(inside))
        return self.window(image)

    def _move(
        self, placed: Placed
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
        pixels = np.atleast_3d(placed.pixels).transpose(2, 0, 1)
        image = tv_tensors.Image(torch.from_numpy(np.ascontiguousarray(pixels)))
        masks = tv_tensors.Mask(
            torch.from_numpy(np.stack([placed.visible, placed.inside]).astype(np.uint8))
        )
        if self.how.mirror and random.random() < 0.5:
            image, masks = (
                v2.functional.horizontal_flip(image),
                v2.functional.horizontal_flip(masks),
            )
        if self.how.quarter_turns:
            turns = random.randrange(4)
            image, masks = image.rot90(turns, (1, 2)), masks.rot90(turns, (1, 2))
            image, masks = tv_tensors.Image(image), tv_tensors.Mask(masks)
        if self.how.stretch:
            image, masks = self._stretch(image, masks)
        if self.moves:
            image, masks = self.affine(image, masks)
        visible, inside = masks.numpy().astype(bool)
        return image.numpy().transpose(1, 2, 0), visible, inside

    def _stretch(
        self, image: tv_tensors.Image, masks: tv_tensors.Mask
    ) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """Enlarge one side and crop back: the part becomes oval, none of the frame is empty."""
        height, width = image.shape[1:]
        factor = 1 + random.uniform(0, self.how.stretch)
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
        how = self.how
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
