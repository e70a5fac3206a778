"""Images of a labelled set as the model sees them: placed once, then varied as often as drawn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from defectvision.bundle.line import Line
from defectvision.bundle.schema import Preprocessing
from defectvision.data.image_set import ImageSet
from defectvision.inference.labelled_images import read_masks, read_pixels
from defectvision.inference.preprocessing import place, standardize, warp
from defectvision.training.augmentation import Augment
from defectvision.training.examples import Example, Marked
from defectvision.training.paste import paste_defect
from defectvision.training.targets import shows_defect, targets_of

CACHE_BYTES = 4 << 30
# A window shows a class from this many of its pixels on.
SHOWN_PX = 4


class PlacedImages(Dataset[Example]):
    """Images of a set, decoded and placed once and kept while they fit into CACHE_BYTES.

    mask_classes: the classes whose masks are read; an image that has none counts as unmarked where
    it shows a defect. An item is an Example; one that cannot be read raises ImageError.
    """

    def __init__(
        self,
        images: ImageSet,
        line: Line,
        preprocessing: Preprocessing,
        mask_classes: Sequence[str] = (),
    ):
        self.images = images
        self.line = line
        self.preprocessing = preprocessing
        self.mask_classes = tuple(mask_classes)
        self.targets = targets_of(images.catalog, line)
        self._cache: dict[int, Marked] = {}
        size = preprocessing.height * preprocessing.width
        self._room = CACHE_BYTES // (size * (preprocessing.channels + 2 + len(self.mask_classes)))

    def __len__(self) -> int:
        return len(self.images.catalog)

    def marked(self, index: int) -> Marked:
        """The image in the model's frame, before augmentation."""
        marked = self._cache.get(index)
        if marked is None:
            marked = self._read(index)
            if len(self._cache) < self._room:
                self._cache[index] = marked
        return marked

    def keep(self) -> None:
        """Decode now what can be kept, so that processes forked from this one share it."""
        for index in range(min(len(self), self._room)):
            self.marked(index)

    def _read(self, index: int) -> Marked:
        pixels = read_pixels(self.images, index)
        placed = place(pixels, self.preprocessing)
        frame = (self.preprocessing.height, self.preprocessing.width)
        masks = np.zeros((len(self.mask_classes), *frame), bool)
        if not self.mask_classes:
            return Marked(placed, masks, False)
        size = (pixels.shape[0], pixels.shape[1])
        truth = read_masks(self.images, index, size, self.mask_classes)
        if truth is None:
            return Marked(placed, masks, False)
        for drawn, mask in zip(masks, truth, strict=True):
            if mask.any():
                grey = mask.astype(np.uint8) * 255
                drawn |= (warp(grey, placed.to_image, self.preprocessing) > 127) & placed.visible
        return Marked(placed, masks, True)

    def __getitem__(self, index: int) -> Example:
        marked = self.marked(index)
        placed = marked.placed
        image = standardize(placed.pixels, placed.visible, placed.inside, self.preprocessing)
        return Example(
            torch.from_numpy(image),
            torch.tensor(self.targets[index]),
            torch.from_numpy(marked.masks),
            torch.from_numpy(placed.visible & marked.known),
        )


class VariedImages(Dataset[Example]):
    """Placed images, each time varied anew.

    paste: share of the good images that get a defect of another image.
    """

    def __init__(self, placed: PlacedImages, augment: Augment, paste: float = 0.0):
        self.placed = placed
        self.augment = augment
        self.paste = paste
        defective = shows_defect(placed.images.catalog, placed.line) if paste else np.array([])
        self._donors: list[int] = np.flatnonzero(defective).tolist()

    def __len__(self) -> int:
        return len(self.placed)

    def __getitem__(self, index: int) -> Example:
        marked, target = self.placed.marked(index), torch.tensor(self.placed.targets[index])
        if self._donors and random.random() < self.paste and index not in self._donors:
            donor = random.choice(self._donors)
            pasted = paste_defect(marked, self.placed.marked(donor))
            if pasted is not marked:
                marked, target = pasted, torch.tensor(self.placed.targets[donor])
        varied = self.augment(marked)
        return varied._replace(target=self._shown(target, varied.masks, marked))

    def _shown(self, target: Tensor, masks: Tensor, marked: Marked) -> Tensor:
        """What is left of the label in a window that shows a part of the image: a class that is
        marked, but not in this window, is not there."""
        line, mask_classes = self.placed.line, self.placed.mask_classes
        if not (mask_classes and marked.known):
            return target
        shown = masks.sum((1, 2)) >= SHOWN_PX
        names = line.class_names
        if line.label_mode == "multilabel":
            target = target.clone()
            for name, here in zip(mask_classes, shown.tolist(), strict=True):
                target[names.index(name)] = float(here)
            return target
        gone = marked.masks.any((1, 2)) & ~shown.numpy()
        name = names[int(target)]
        if line.good_names and name in mask_classes and gone[mask_classes.index(name)]:
            return torch.tensor(names.index(line.good_names[0]))
        return target
