"""A study as plain data, for machines: what `defectvision data report --json` prints."""

from __future__ import annotations

import math

import pandas as pd

from defectvision.audit import pictures
from defectvision.audit.shortcuts import warnings
from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.data.leaks import leaking_images, leaks


def findings(study: Study) -> dict[str, object]:
    """Counts, sizes, near-copies, leaks and shortcuts; paths are relative to the set's folder."""
    catalog, grouped = study.catalog, study.grouped
    paths = catalog.table["path"].tolist()
    found_leaks = leaks(grouped)
    contradictions = grouped.contradictions()
    table = study.shortcuts
    return {
        "name": catalog.name,
        "layout": catalog.layout,
        **statistics.summary(catalog),
        "splits": {
            str(split): {str(r.label): int(r.images) for r in rows.itertuples()}
            for split, rows in statistics.balance_by_split(catalog).groupby("split")
        },
        "regions": _regions(study.regions),
        "pictures": _spread(study.pictures, list(pictures.MEASURES)),
        "outliers": [
            {k: _plain(v) for k, v in row.items() if k != "image"}
            for row in pictures.outliers(study.pictures).to_dict("records")
        ],
        "near_duplicate_groups": [
            {"paths": [paths[i] for i in group.images], "kind": group.kind}
            for group in study.groups
        ],
        "leaks": {
            "groups": [
                {"splits": row.splits.split(", "), "paths": row.paths}
                for row in found_leaks.itertuples()
            ],
            "images_also_in_train": leaking_images(grouped),
        },
        "contradictions": [
            {"photo_group": str(group), "paths": rows["path"].tolist(),
             "labels": sorted(set(rows["label"]))}
            for group, rows in contradictions.groupby("photo_group")
        ],
        "shortcuts": [
            {k: _plain(v) for k, v in row.items() if k not in ("reason", "title")}
            for row in table.to_dict("records")
        ],
        "warnings": [*catalog.warnings, *filter(None, [statistics.lacks_good(catalog)]),
                     *warnings(table)],
        "failures": study.failures,
        "seconds": round(study.seconds, 3),
        "from_cache": study.from_cache,
    }  # fmt: skip


def _regions(regions: pd.DataFrame) -> dict[str, object]:
    columns = ["area_px", "length_px", "width_px", "elongation"]
    return {
        str(label): {"count": len(rows), "images": int(rows["image"].nunique()),
                     **_spread(rows, columns)}
        for label, rows in regions.groupby("label")
    }  # fmt: skip


def _spread(table: pd.DataFrame, columns: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for column in columns:
        if column in table and table[column].notna().any():
            values = table[column].astype(float).dropna()
            found[column] = {
                "min": float(values.min()),
                "median": float(values.median()),
                "max": float(values.max()),
            }
    return found


def _plain(value: object) -> object:
    """A value that JSON knows."""
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
