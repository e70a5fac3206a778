"""What a click on a chart means: a small filter that stands, as text, behind each mark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.audit.study import Study
from defectvision.data.statistics import GOOD, good_classes, label_sets


def token(**filters: object) -> str:
    """A filter as text. Known: label, split, all_of (two classes), classes (number of defect
    classes), between [column, low, high], image, group_size."""
    return json.dumps(filters, sort_keys=True)


def tokens_of(points: Iterable[dict]) -> list[str]:
    """The filters behind the marks of a Plotly selection event."""
    found = []
    for point in points:
        data = point.get("customdata")
        first = data[0] if isinstance(data, (list, tuple)) and data else data
        if isinstance(first, str):
            found.append(first)
    return list(dict.fromkeys(found))


def chosen_images(study: Study, tokens: Sequence[str]) -> NDArray[np.int64]:
    """Row numbers of the images that fit any of the filters, in the catalog's order."""
    count = len(study.catalog)
    keep = np.zeros(count, bool)
    single = []
    for text in tokens:
        try:
            wanted = json.loads(text)
        except ValueError:
            continue
        if not isinstance(wanted, dict):
            continue
        if set(wanted) == {"image"}:
            single.append(int(wanted["image"]))
            continue
        keep |= _fits(study, wanted)
    keep[[i for i in single if 0 <= i < count]] = True
    return np.flatnonzero(keep)


def _fits(study: Study, wanted: dict) -> NDArray[np.bool_]:
    catalog = study.catalog
    count = len(catalog)
    keep = np.ones(count, bool)
    sets = label_sets(catalog)
    if "between" in wanted:
        column, low, high = wanted["between"]
        for table in (study.pictures, study.regions):
            if column in table:
                some = table[table[column].between(low, high)]
                # a region's label is its own; a picture's is asked below
                if table is study.regions and "label" in wanted:
                    some = some[some["label"] == wanted["label"]]
                keep &= _rows(some["image"], count)
                break
    if "label" in wanted:
        label = wanted["label"]
        has = sets.map(lambda names: label in names or " + ".join(sorted(names)) == label)
        if "between" not in wanted or wanted["between"][0] not in study.regions:
            keep &= has.to_numpy(bool)
    if "split" in wanted:
        keep &= (catalog.table["split"] == wanted["split"]).to_numpy()
    for name in wanted.get("all_of", ()):
        keep &= sets.map(lambda names, name=name: name in names).to_numpy(bool)
    if "classes" in wanted:
        good = good_classes(catalog) | {GOOD}
        number = sets.map(lambda names: sum(n not in good for n in names))
        keep &= (number == wanted["classes"]).to_numpy()
    if "group_size" in wanted:
        mine = [i for g in study.groups if len(g.images) == wanted["group_size"] for i in g.images]
        keep &= _rows(pd.Series(mine, dtype="int64"), count)
    return keep


def _rows(images: pd.Series, count: int) -> NDArray[np.bool_]:
    keep = np.zeros(count, bool)
    keep[images.to_numpy(np.int64)] = True
    return keep


def say(tokens: Sequence[str]) -> str:
    """The filters in words."""
    words = []
    for text in tokens:
        wanted = json.loads(text)
        parts = []
        if "label" in wanted:
            parts.append(f"class {wanted['label']}")
        if "all_of" in wanted:
            parts.append("with ".join(dict.fromkeys(f"{n} " for n in wanted["all_of"])).strip())
        if "split" in wanted:
            parts.append(f"split {wanted['split'] or '(none)'}")
        if "classes" in wanted:
            parts.append(f"{wanted['classes']} defect classes")
        if "between" in wanted:
            column, low, high = wanted["between"]
            parts.append(f"{column.replace('_', ' ')} {low:.4g} to {high:.4g}")
        if "group_size" in wanted:
            parts.append(f"near-copy groups of {wanted['group_size']} images")
        if parts:
            words.append(", ".join(parts))
    if len(words) < len(tokens):
        words.append(f"{len(tokens) - len(words)} points of a chart")
    return "; ".join(words[:4]) + ("; …" if len(words) > 4 else "")
