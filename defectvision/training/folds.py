"""Cross-validation for sets that are too small for a test split of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.training.dataset import rarest_label
from defectvision.training.recipe import Split


def fold_of(catalog: Catalog, split: Split) -> NDArray[np.int_]:
    """(N,) number of the fold of each image; photo groups stay whole, and the rarest class of each
    image is spread evenly."""
    folds = StratifiedGroupKFold(split.folds, shuffle=True, random_state=split.seed)
    part = np.zeros(len(catalog), int)
    labels = rarest_label(catalog).to_numpy()
    for number, (_, rows) in enumerate(folds.split(labels, labels, catalog.groups())):
        part[rows] = number
    return part


def fold_splits(images: ImageSet, split: Split) -> Iterator[ImageSet]:
    """The set once for each fold, with that fold as `test`, the next one as `val` and the others
    as `train`; nothing where the recipe has no folds."""
    if not split.folds:
        return
    part = fold_of(images.catalog, split)
    for number in range(split.folds):
        named = np.select(
            [part == number, part == (number + 1) % split.folds], ["test", "val"], "train"
        )
        table = images.catalog.table.assign(split=pd.Series(named, dtype="str"))
        yield replace(images, catalog=replace(images.catalog, table=table))
