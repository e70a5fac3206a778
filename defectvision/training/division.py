"""Which images a training learns from, which it is tuned on, and which it is measured on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from defectvision.bundle.labels import is_good_label
from defectvision.data.catalog import SPLITS, Catalog
from defectvision.data.image_set import ImageSet
from defectvision.data.splits import assert_no_leak, split_catalog
from defectvision.training.recipe import Split
from defectvision.training.targets import rarest_label

log = logging.getLogger(__name__)


def divide(catalog: Catalog, split: Split) -> Catalog:
    """The catalog with train, val and test; its own splits where they are whole. With folds there
    is no test split: the last fold calibrates, all others are learned from.

    Raises CatalogError where the catalog's own splits tear a photo group apart.
    """
    if split.folds:
        part = fold_of(catalog, split.folds, split.seed)
        named = np.where(part == part.max(), "val", "train")
        catalog = replace(catalog, table=catalog.table.assign(split=pd.Series(named, dtype="str")))
    elif set(catalog.table["split"]) != set(SPLITS):
        shares = {"train": split.train, "val": split.val, "test": split.test}
        catalog = split_catalog(catalog, shares, split.seed)
    assert_no_leak(catalog)
    return catalog


def divide_good_parts(catalog: Catalog, names: bool = False) -> Catalog:
    """The catalog with the good images to learn from as train, those of its own split `val`, which
    limit the scores alone, as val, and all that is measured as test: defective images, those of its
    own split `test`, and good ones that show a part which has a defect elsewhere.

    names: whether defects are learned by name, too. Of defective parts, only those of its own
    splits `val` and `test` are measured then.

    Raises CatalogError where the catalog's own splits tear a photo group apart.
    """
    good = catalog.table["label"].map(is_good_label).to_numpy(bool)
    groups, own = catalog.groups(), catalog.table["split"].to_numpy(str)
    measured = np.isin(groups, groups[~good & ((own == "val") | (not names))]) | (own == "test")
    named = np.select([measured, own == "val"], ["test", "val"], "train")
    table = catalog.table.assign(split=pd.Series(named, dtype="str"))
    divided = replace(catalog, table=table)
    assert_no_leak(divided)
    return divided


def fold_of(catalog: Catalog, folds: int, seed: int) -> NDArray[np.int_]:
    """(N,) number of the fold of each image; photo groups stay whole, and the rarest class of each
    image is spread evenly. For sets that are too small for a test split of their own."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    part = np.zeros(len(catalog), int)
    labels = rarest_label(catalog).to_numpy()
    for number, (_, rows) in enumerate(splitter.split(labels, labels, catalog.groups())):
        part[rows] = number
    return part


def fold_splits(images: ImageSet, split: Split) -> Iterator[ImageSet]:
    """The set once for each fold, with that fold as `test`, the next one as `val` and the others
    as `train`; nothing where the recipe has no folds."""
    if not split.folds:
        return
    part = fold_of(images.catalog, split.folds, split.seed)
    for number in range(split.folds):
        named = np.select(
            [part == number, part == (number + 1) % split.folds], ["test", "val"], "train"
        )
        table = images.catalog.table.assign(split=pd.Series(named, dtype="str"))
        yield replace(images, catalog=replace(images.catalog, table=table))


def without_contradictions(images: ImageSet) -> ImageSet:
    """The set less the images to learn from (split `train`) whose label is outvoted within their
    own photo group; the whole set where images of one group may rightly differ."""
    catalog = images.catalog
    if catalog.groups_differ:
        return images
    table = catalog.table.assign(group=catalog.groups())
    training = table["split"] == "train"
    lost = outvoted(table["group"][training], table["label"][training])
    lost = lost.reindex(table.index, fill_value=False)
    if lost.any():
        log.warning(
            "%d training images left out: their label is outvoted within their photo group",
            int(lost.sum()),
        )
    return images.take(np.flatnonzero(~lost))


def outvoted(groups: pd.Series, labels: pd.Series) -> pd.Series[bool]:
    """Which images' photo group holds more images of another label; all of one index."""
    votes = labels.groupby([groups, labels]).transform("size")
    return votes < votes.groupby(groups).transform("max")
