"""What a click on a chart means: a small filter that stands, as text, behind each mark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.audit.study import Study
from defectvision.data.statistics import GOOD, good_classes, label_sets
from defectvision.words import counted


def token(**filters: object) -> str:
    """A filter as text. Known: label, any_of and all_of (classes), split, classes (number of
    defect classes), between [column, low, high], image, group_size."""
    return json.dumps(filters, sort_keys=True)


def tokens_of(points: Iterable[Mapping[str, Any]]) -> list[str]:
    """The filters behind the marks of a Plotly selection event."""
    found = []
    for point in points:
        data = point.get("customdata")
        first = data[0] if isinstance(data, (list, tuple)) and data else data
        if isinstance(first, str):
            found.append(first)
    return list(dict.fromkeys(found))


def chosen_images(study: Study, tokens: Sequence[str]) -> list[int]:
    """Row numbers of the images that fit any of the filters, in the catalog's order. A text that
    is no filter chooses none."""
    count = len(study.catalog)
    keep = np.zeros(count, bool)
    single = []
    for criteria in _filters_of(tokens):
        if set(criteria) == {"image"}:
            single.append(int(criteria["image"]))
        else:
            keep |= _fits(study, criteria)
    keep[[i for i in single if 0 <= i < count]] = True
    return [int(i) for i in np.flatnonzero(keep)]


def filtered(
    study: Study, images: Sequence[int] | None, label: str | None, split: str | None
) -> list[int]:
    """Those of `images` (all where None) that show the class `label` and stand in `split`; None
    asks for neither."""
    table = study.catalog.table
    keep = np.ones(len(table), bool)
    if label is not None:
        keep &= label_sets(study.catalog).map(lambda names: label in names).to_numpy(bool)
    if split is not None:
        keep &= (table["split"] == split).to_numpy(bool)
    return [i for i in (range(len(table)) if images is None else images) if keep[i]]


# order: (column of the pictures, sign)
_PICTURE_ORDERS = {
    "darkest": ("brightness", 1),
    "brightest": ("brightness", -1),
    "blurred first": ("sharpness", 1),
}
_DEFECT_ORDERS = ("largest defect", "smallest defect")


def orders(study: Study) -> list[str]:
    """The orders that the set's figures allow."""
    return [
        "file",
        *(_PICTURE_ORDERS if len(study.pictures) else ()),
        *(_DEFECT_ORDERS if len(study.regions) else ()),
    ]


def ordered(study: Study, images: Sequence[int], order: str) -> list[int]:
    """`images` in one of `orders`; those without the figure come last, equal ones as they are in
    the catalog."""
    if order in _PICTURE_ORDERS:
        column, sign = _PICTURE_ORDERS[order]
        value = dict(zip(study.pictures["image"], sign * study.pictures[column], strict=True))
    elif order in _DEFECT_ORDERS:
        areas = study.regions.groupby("image")["area_px"]
        value = (-areas.max() if order.startswith("largest") else areas.min()).to_dict()
    else:
        return list(images)
    return sorted(images, key=lambda i: (value.get(i, float("inf")), i))


def _filters_of(tokens: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in tokens:
        try:
            criteria = json.loads(text)
        except ValueError:
            continue
        if isinstance(criteria, dict):
            yield criteria


def _fits(study: Study, criteria: dict[str, Any]) -> NDArray[np.bool_]:
    catalog = study.catalog
    count = len(catalog)
    keep = np.ones(count, bool)
    sets = label_sets(catalog)
    if "between" in criteria:
        column, low, high = criteria["between"]
        for table in (study.pictures, study.regions):
            if column in table:
                some = table[table[column].between(low, high)]
                # a region's label is its own; a picture's is asked below
                if table is study.regions and "label" in criteria:
                    some = some[some["label"] == criteria["label"]]
                keep &= _rows(some["image"], count)
                break
    if "label" in criteria:
        label = criteria["label"]
        has = sets.map(lambda names: label in names or " + ".join(sorted(names)) == label)
        if "between" not in criteria or criteria["between"][0] not in study.regions:
            keep &= has.to_numpy(bool)
    if "split" in criteria:
        keep &= (catalog.table["split"] == criteria["split"]).to_numpy()
    if "any_of" in criteria:
        some_of = set(criteria["any_of"])
        keep &= sets.map(lambda names: not some_of.isdisjoint(names)).to_numpy(bool)
    for name in criteria.get("all_of", ()):
        keep &= sets.map(lambda names, name=name: name in names).to_numpy(bool)
    if "classes" in criteria:
        good = good_classes(catalog) | {GOOD}
        number = sets.map(lambda names: sum(n not in good for n in names))
        keep &= (number == criteria["classes"]).to_numpy()
    if "group_size" in criteria:
        mine = [
            i for g in study.groups if len(g.images) == criteria["group_size"] for i in g.images
        ]
        keep &= _rows(pd.Series(mine, dtype="int64"), count)
    return keep


def _rows(images: pd.Series, count: int) -> NDArray[np.bool_]:
    keep = np.zeros(count, bool)
    keep[images.to_numpy(np.int64)] = True
    return keep


def in_words(tokens: Sequence[str]) -> str:
    """The filters as a person reads them."""
    words = []
    for criteria in _filters_of(tokens):
        parts = []
        if "label" in criteria:
            parts.append(f"class {criteria['label']}")
        if "any_of" in criteria:
            parts.append("class " + " or ".join(criteria["any_of"]))
        if "all_of" in criteria:
            parts.append("with ".join(dict.fromkeys(f"{n} " for n in criteria["all_of"])).strip())
        if "split" in criteria:
            parts.append(f"split {criteria['split'] or '(none)'}")
        if "classes" in criteria:
            parts.append(counted(criteria["classes"], "defect class", "defect classes"))
        if "between" in criteria:
            column, low, high = criteria["between"]
            parts.append(f"{column.replace('_', ' ')} {low:.4g} to {high:.4g}")
        if "group_size" in criteria:
            parts.append(f"near-copy groups of {criteria['group_size']} images")
        if parts:
            words.append(", ".join(parts))
    if len(words) < len(tokens):
        words.append(f"{counted(len(tokens) - len(words), 'point')} of a chart")
    return "; ".join(words[:4]) + ("; …" if len(words) > 4 else "")
