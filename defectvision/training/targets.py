"""What the labels of a set ask of a network, and how many images stand for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.data.catalog import Catalog


def targets_of(catalog: Catalog, line: Line) -> NDArray[Any]:
    """(N,) int64 class numbers, or (N, C) float32 of 0 and 1 on a multilabel line."""
    names = line.class_names
    if line.label_mode == "multiclass":
        return np.array([names.index(label) for label in catalog.table["label"]])
    present = np.zeros((len(catalog), len(names)), np.float32)
    for row, label in enumerate(catalog.table["label"]):
        for name in label_names(label):
            if name in names:  # a good class of its own has no output
                present[row, names.index(name)] = 1
    return present


def class_counts(targets: NDArray[Any], classes: int) -> NDArray[np.int_]:
    """(C,) images of each class, of either kind of `targets_of`."""
    if targets.ndim == 2:
        return targets.sum(0).astype(int)
    return np.bincount(targets, minlength=classes)


def shows_defect(catalog: Catalog, line: Line) -> NDArray[np.bool_]:
    """(N,) whether an image is labelled with a defect."""
    defects = set(line.defect_names)
    return np.array([bool(defects & set(label_names(x))) for x in catalog.table["label"]], bool)


def rarest_label(catalog: Catalog) -> pd.Series:
    """Per image the one of its labels that the fewest images have; '' without any."""
    images = catalog.counts()
    return catalog.table["label"].map(
        lambda label: min(label_names(label), key=lambda n: (images[n], n), default="")
    )
