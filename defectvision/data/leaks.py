"""Photo groups against splits: which leak, and a split that does not."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from defectvision.data.catalog import Catalog
from defectvision.data.splits import split_catalog

DEFAULT_FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
SEED = 0


def with_groups(catalog: Catalog, groups: Sequence[Sequence[int]]) -> Catalog:
    """`catalog` with `groups` (row numbers) as its photo groups, joined with those it has.

    A group that the catalog knows and a found one that share an image become one.
    """
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet(range(len(catalog)))
    known = catalog.table["photo_group"]
    marked = [list(rows) for _, rows in known[known != ""].groupby(known).groups.items()]
    for rows in (*marked, *groups):
        for other in rows[1:]:
            joined.merge(int(rows[0]), int(other))
    # numbered by the first image, so that the names do not depend on how groups were found
    first: dict[int, int] = {}
    for i in range(len(catalog)):
        first.setdefault(joined[i], i)
    names = [f"{first[joined[i]]:05d}" for i in range(len(catalog))]
    return replace(catalog, table=catalog.table.assign(photo_group=pd.Series(names, dtype="str")))


def leaks(catalog: Catalog) -> pd.DataFrame:
    """Rows (photo_group, splits, images, paths) of the groups that stand in several splits."""
    table = catalog.table
    placed = table[(table["photo_group"] != "") & (table["split"] != "")]
    several = placed.groupby("photo_group")["split"].transform("nunique") > 1
    found = [
        {
            "photo_group": group,
            "splits": ", ".join(sorted(set(rows["split"]))),
            "images": len(rows),
            "paths": rows["path"].tolist(),
        }
        for group, rows in placed[several].groupby("photo_group")
    ]
    return pd.DataFrame(found, columns=["photo_group", "splits", "images", "paths"])


def leaking_images(catalog: Catalog) -> dict[str, int]:
    """Per split but `train`, the images whose photo group also stands in `train`."""
    table = catalog.table
    placed = table[(table["photo_group"] != "") & (table["split"] != "")]
    seen = set(placed.loc[placed["split"] == "train", "photo_group"])
    others = placed[(placed["split"] != "train") & placed["photo_group"].isin(seen)]
    return {str(k): int(v) for k, v in others["split"].value_counts().sort_index().items()}


def split_fractions(catalog: Catalog) -> dict[str, float]:
    """The proportions of the split there is; the usual ones where there is none."""
    counts = catalog.table.loc[catalog.table["split"] != "", "split"].value_counts()
    if len(counts) < 2:
        return dict(DEFAULT_FRACTIONS)
    return {str(name): float(n / counts.sum()) for name, n in counts.items()}


def corrected_split(catalog: Catalog, seed: int = SEED) -> Catalog:
    """`catalog` split anew in the same proportions with every photo group kept whole."""
    return split_catalog(replace(catalog, warnings=()), split_fractions(catalog), seed)
