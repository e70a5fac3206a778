"""Training images as the model sees them, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from defectvision.data.catalog import Catalog
from defectvision.inference.images import decode_image
from defectvision.inference.preprocessing import Placed, Preprocessing, place, standardize
from defectvision.training.recipe import Imbalance

CACHE_BYTES = 4 << 30


class PlacedImages(Dataset):
    """Images of a catalog, decoded and placed once and kept while they fit into CACHE_BYTES.

    An item is (input (channels, H, W) float32, class number).
    """

    def __init__(
        self,
        catalog: Catalog,
        classes: tuple[str, ...],
        how: Preprocessing,
        augment: Callable[[Placed], Tensor] | None = None,
    ):
        self.catalog = catalog
        self.how = how
        self.augment = augment
        self.targets = np.array([classes.index(label) for label in catalog.table["label"]])
        self._kept: dict[int, Placed] = {}
        size = how.height * how.width * (how.channels + 2)
        self._room = CACHE_BYTES // size

    def __len__(self) -> int:
        return len(self.catalog)

    def placed(self, index: int) -> Placed:
        """The image in the model's frame, before augmentation."""
        if index in self._kept:
            return self._kept[index]
        path = self.catalog.image_path(index)
        placed = place(decode_image(path.read_bytes(), path.name), self.how)
        if len(self._kept) < self._room:
            self._kept[index] = placed
        return placed

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        placed = self.placed(index)
        if self.augment is not None:
            return self.augment(placed), int(self.targets[index])
        image = standardize(placed.pixels, placed.visible, placed.inside, self.how)
        return torch.from_numpy(image), int(self.targets[index])


def class_weights(targets: NDArray[np.int_], classes: int, imbalance: Imbalance) -> Tensor:
    """Loss weight per class, mean 1: (C,) float32.

    `effective` weighs by the effective number of samples with beta = 0.999
    (Cui et al. 2019, https://arxiv.org/abs/1901.05555).
    """
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    weights = {
        "none": np.ones(classes),
        "inverse": 1 / counts,
        "effective": (1 - 0.999) / (1 - 0.999**counts),
    }[imbalance.class_weights]
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def sampling_weights(catalog: Catalog, imbalance: Imbalance) -> NDArray[np.float64] | None:
    """How often each image is drawn, relative to the others; None to take each once an epoch.

    `class` draws every class alike; `class_and_group` draws, within a class, every photo group
    alike, so that one photograph with ninety copies does not outweigh ninety photographs.
    """
    if imbalance.sampling == "none":
        return None
    table = catalog.table.assign(group=catalog.groups())
    in_class = table.groupby("label")["path"].transform("size")
    if imbalance.sampling == "class":
        return (1 / in_class).to_numpy(float)
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


def without_contradictions(catalog: Catalog) -> Catalog:
    """The catalog less the images whose label is outvoted within their own photo group."""
    table = catalog.table.assign(group=catalog.groups())
    votes = table.groupby(["group", "label"])["path"].transform("size")
    winning = votes.groupby(table["group"]).transform("max")
    return replace(catalog, table=catalog.table[votes == winning].reset_index(drop=True))
