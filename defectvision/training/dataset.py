"""Training images as the model sees them, and how often each is drawn."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.bundle.schema import Preprocessing
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.inference.images import decode_image
from defectvision.inference.preprocessing import place, standardize, warp
from defectvision.training.examples import Example, Marked
from defectvision.training.paste import paste_defect
from defectvision.training.recipe import Imbalance

CACHE_BYTES = 4 << 30
# A window shows a class from this many of its pixels on.
SHOWN_PX = 4


class PlacedImages(Dataset):
    """Images of a set, decoded and placed once and kept while they fit into CACHE_BYTES.

    masked: the classes whose masks are read; an image that has none counts as unmarked where it
    shows a defect. paste: how often a good image gets a defect of another. An item is an Example.
    """

    def __init__(
        self,
        images: ImageSet,
        line: Line,
        how: Preprocessing,
        augment: Callable[[Marked], Example] | None = None,
        masked: tuple[str, ...] = (),
        paste: float = 0.0,
    ):
        self.images = images
        self.line = line
        self.how = how
        self.augment = augment
        self.masked = masked
        self.targets = targets_of(images.catalog, line)
        self.paste = paste
        self._donors = np.flatnonzero(shows_defect(images.catalog, line)) if paste else np.array([])
        self._kept: dict[int, Marked] = {}
        size = how.height * how.width * (how.channels + 2 + len(masked))
        self._room = CACHE_BYTES // size

    def __len__(self) -> int:
        return len(self.images.catalog)

    def marked(self, index: int) -> Marked:
        """The image in the model's frame, before augmentation."""
        if index not in self._kept:
            found = self._read(index)
            if len(self._kept) >= self._room:
                return found
            self._kept[index] = found
        return self._kept[index]

    def _read(self, index: int) -> Marked:
        path = self.images.catalog.image_path(index)
        pixels = decode_image(path.read_bytes(), path.name, self.images.limit_pixels)
        placed = place(pixels, self.how)
        masks = np.zeros((len(self.masked), self.how.height, self.how.width), bool)
        if not self.masked:
            return Marked(placed, masks, False)
        found = self.images.class_masks(index, pixels.shape[:2], self.masked)
        if found is None:
            return Marked(placed, masks, False)
        for drawn, mask in zip(masks, found, strict=True):
            if mask.any():
                laid = warp(mask.astype(np.uint8) * 255, placed.to_image, self.how) > 127
                drawn |= laid & placed.visible
        return Marked(placed, masks, True)

    def __getitem__(self, index: int) -> Example:
        marked = self.marked(index)
        target = torch.tensor(self.targets[index])
        if self.augment is None:
            placed = marked.placed
            image = standardize(placed.pixels, placed.visible, placed.inside, self.how)
            return Example(
                torch.from_numpy(image),
                target,
                torch.from_numpy(marked.masks),
                torch.from_numpy(placed.visible & marked.known),
            )
        if len(self._donors) and random.random() < self.paste and index not in self._donors:
            donor = random.choice(self._donors.tolist())
            pasted = paste_defect(marked, self.marked(donor))
            if pasted is not marked:
                marked, target = pasted, torch.tensor(self.targets[donor])
        varied = self.augment(marked)
        return varied._replace(target=self._shown(target, varied.masks, marked))

    def _shown(self, target: Tensor, masks: Tensor, marked: Marked) -> Tensor:
        """What is left of the label in a window that shows a part of the image: a class that is
        marked, but not in this window, is not there."""
        if not (self.masked and marked.known):
            return target
        gone = marked.masks.any((1, 2)) & (masks.sum((1, 2)).numpy() < SHOWN_PX)
        names = self.line.class_names
        if self.line.label_mode == "multilabel":
            present = masks.sum((1, 2)) >= SHOWN_PX
            target = target.clone()
            for name, here in zip(self.masked, present.tolist(), strict=True):
                target[names.index(name)] = float(here)
            return target
        good = [i for i, c in enumerate(self.line.classes) if c.kind == "ok"]
        name = names[int(target)]
        if good and name in self.masked and gone[self.masked.index(name)]:
            return torch.tensor(good[0])
        return target


def targets_of(catalog: Catalog, line: Line) -> NDArray:
    """(N,) class numbers, or (N, C) float32 of 0 and 1 on a multilabel line."""
    names = line.class_names
    if line.label_mode == "multiclass":
        return np.array([names.index(label) for label in catalog.table["label"]])
    found = np.zeros((len(catalog), len(names)), np.float32)
    for row, label in enumerate(catalog.table["label"]):
        for name in label_names(label):
            if name in names:  # a good class of its own has no output
                found[row, names.index(name)] = 1
    return found


def shows_defect(catalog: Catalog, line: Line) -> NDArray[np.bool_]:
    """(N,) whether an image is labelled with a defect."""
    defects = {c.name for c in line.classes if c.kind == "defect"}
    return np.array([bool(defects & set(label_names(x))) for x in catalog.table["label"]], bool)


def class_weights(counts: NDArray[np.int_], imbalance: Imbalance) -> Tensor:
    """Loss weight per class, mean 1: (C,) float32, from the examples (images or pixels) of each.

    `effective` weighs by the effective number of samples with beta = 0.999
    (Cui et al. 2019, https://arxiv.org/abs/1901.05555).
    """
    counts = np.maximum(counts, 1)
    weights = {
        "none": np.ones(len(counts)),
        "inverse": 1 / counts,
        "effective": (1 - 0.999) / (1 - 0.999**counts),
    }[imbalance.class_weights]
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def class_counts(targets: NDArray, classes: int) -> NDArray[np.int_]:
    """(C,) images of each class, of either kind of `targets_of`."""
    if targets.ndim == 2:
        return targets.sum(0).astype(int)
    return np.bincount(targets, minlength=classes)


def rarest_label(catalog: Catalog) -> pd.Series:
    """Per image the one of its labels that the fewest images have; '' without any."""
    images = catalog.counts()
    return catalog.table["label"].map(
        lambda label: min(label_names(label), key=lambda n: (images[n], n), default="")
    )


def sampling_weights(catalog: Catalog, imbalance: Imbalance) -> NDArray[np.float64] | None:
    """How often each image is drawn, relative to the others; None to take each once an epoch.

    `class` draws every class alike; `square_root` draws each in proportion to the root of its
    images, between that and their own shares (Kang et al. 2019, https://arxiv.org/abs/1910.09217),
    so that rare defects are learned and good surface is still seen often; `class_and_group` draws,
    within a class, every photo group alike, so that one photograph with ninety copies does not
    outweigh ninety photographs. An image of several classes counts for its rarest one.
    """
    if imbalance.sampling == "none":
        return None
    table = catalog.table.assign(group=catalog.groups(), label=rarest_label(catalog))
    in_class = table.groupby("label")["path"].transform("size")
    if imbalance.sampling == "class":
        return (1 / in_class).to_numpy(float)
    if imbalance.sampling == "square_root":
        return (in_class**-0.5).to_numpy(float)
    groups_in_class = table.groupby("label")["group"].transform("nunique")
    in_group = table.groupby(["label", "group"])["path"].transform("size")
    return (1 / (groups_in_class * in_group)).to_numpy(float)


def epoch_order(
    weights: NDArray[np.float64] | None, images: int, samples: int, seed: int
) -> NDArray[np.int_]:
    """Indices of one epoch; the same for the same seed, so that a resumed epoch goes on."""
    rng = np.random.default_rng(seed)
    if weights is None:
        laps = -(-samples // images)
        return np.concatenate([rng.permutation(images) for _ in range(laps)])[:samples]
    return rng.choice(images, samples, p=weights / weights.sum())


def without_contradictions(images: ImageSet) -> ImageSet:
    """The set less the images whose label is outvoted within their own photo group."""
    catalog = images.catalog
    table = catalog.table.assign(group=catalog.groups())
    votes = table.groupby(["group", "label"])["path"].transform("size")
    winning = votes.groupby(table["group"]).transform("max")
    return images.take(np.flatnonzero(votes == winning))
