"""Splits that keep a photo group together and give every split its share of each class."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import label_names
from defectvision.data.catalog import SPLITS, Catalog, CatalogError

# Random partitions tried per class; the one closest to the asked shares of images is kept.
TRIES = 500


def split_catalog(catalog: Catalog, fractions: Mapping[str, float], seed: int) -> Catalog:
    """`catalog` with a new split column, for example {'train': .68, 'val': .12, 'test': .2}.

    Photo groups stay together, and each class (a group counts for its rarest one) is divided by
    number of groups first, by number of images second: groups are what is independent, so the
    number of groups decides how much a score can be trusted. The same images, fractions and seed
    give the same split in any row order, and one class does not move another.

    A class without an image in one of the splits is named in `warnings`. Raises CatalogError for
    an empty catalog, unknown split names, and fractions that are not positive or do not sum to 1.
    """
    names = _checked(fractions)
    if not len(catalog):
        raise CatalogError(f"catalog {catalog.name!r}: no image to split.")
    groups = catalog.groups()
    strata = _strata(catalog, groups)
    chosen: dict[str, str] = {}
    for stratum, images in sorted(strata.items()):
        rng = np.random.default_rng([seed, zlib.crc32(stratum.encode())])
        shares = np.array([fractions[name] for name in names])
        parts = _partition(images.to_numpy(), shares, rng)
        chosen.update(zip(images.index, (names[part] for part in parts), strict=True))
    table = catalog.table.assign(split=pd.Series([chosen[g] for g in groups], dtype="str"))
    warnings = dict.fromkeys((*catalog.warnings, *_absences(table, names, groups)))
    return replace(catalog, table=table, warnings=tuple(warnings))


def assert_no_leak(catalog: Catalog) -> None:
    """Raise CatalogError where images of one photo group lie in more than one split."""
    table = catalog.table
    placed = table[(table["photo_group"] != "") & (table["split"] != "")]
    splits = placed.groupby("photo_group")["split"].unique()
    leaking = splits[splits.map(len) > 1]
    if leaking.empty:
        return
    shown = "; ".join(
        f"{group} in {' and '.join(sorted(found))}" for group, found in leaking.head(5).items()
    )
    raise CatalogError(
        f"catalog {catalog.name!r}: {len(leaking)} photo groups are in more than one split: "
        f"{shown}{'; ...' if len(leaking) > 5 else ''}. A score would measure memory. "
        "Keep each group whole, as the index of `defectvision data report --index FILE` does."
    )


def _checked(fractions: Mapping[str, float]) -> list[str]:
    unknown = [name for name in fractions if name not in SPLITS]
    if unknown or not fractions:
        raise CatalogError(f"fractions: unknown splits {unknown}. Use {', '.join(SPLITS)}.")
    values = list(fractions.values())
    if not all(value > 0 for value in values) or not math.isclose(sum(values), 1, abs_tol=1e-6):
        raise CatalogError(
            f"fractions: {dict(fractions)} are not positive numbers that sum to 1. "
            "Leave out a split that is not wanted."
        )
    return [name for name in SPLITS if name in fractions]


def _labelled(groups: NDArray[np.str_], labels: pd.Series) -> pd.DataFrame:
    """A row (group, label) per image and single label; good images carry the label ''."""
    # good is a class of its own here
    single = labels.map(lambda label: label_names(label) or ("",))
    return pd.DataFrame({"group": groups, "label": single}).explode("label")


def _strata(catalog: Catalog, groups: NDArray[np.str_]) -> dict[str, pd.Series]:
    """Per class the number of its images in each group, indexed by group id, sorted.

    A group belongs to the one of its classes that has the fewest groups.
    """
    rows = _labelled(groups, catalog.table["label"])
    pairs = rows.groupby(["group", "label"]).size().rename("images").reset_index()
    pairs["rarity"] = pairs["label"].map(pairs["label"].value_counts())
    pairs = pairs.sort_values(["group", "rarity", "label"]).drop_duplicates("group")
    return {str(label): part.set_index("group")["images"] for label, part in pairs.groupby("label")}


def _quotas(count: int, shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Groups per split by largest remainders, at least one each where there are enough."""
    exact = shares * count
    quotas = np.floor(exact).astype(np.int64)
    # ties go to the larger split
    order = np.lexsort((-shares, -(exact - quotas)))
    quotas[order[: count - quotas.sum()]] += 1
    while count >= len(shares) and not quotas.all():
        quotas[quotas.argmax()] -= 1
        quotas[quotas.argmin()] += 1
    return quotas


def _partition(
    images: NDArray[np.int64], shares: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """(groups,) split number of each group; `images` is the number of images in each."""
    quotas = _quotas(len(images), shares)
    parts = np.repeat(np.arange(len(shares)), quotas)
    best, best_gap = parts, math.inf
    # Groups of equal size are equally good in any order: one draw is enough.
    for _ in range(TRIES if np.ptp(images) else 1):
        drawn = rng.permutation(parts)
        placed = np.bincount(drawn, weights=images, minlength=len(shares)) / images.sum()
        gap = float(np.abs(placed - shares).max())
        if gap < best_gap:
            best, best_gap = drawn, gap
    return best


def _absences(table: pd.DataFrame, names: list[str], groups: NDArray[np.str_]) -> list[str]:
    """A sentence for each class that one of the splits lacks."""
    rows = _labelled(groups, table["label"])
    rows["split"] = table["split"].reindex(rows.index)
    found = []
    for label, part in rows.groupby("label"):
        lacking = [name for name in names if not (part["split"] == name).any()]
        if lacking:
            found.append(
                f"class {label or '(good)'} has {part['group'].nunique()} photo groups and none "
                f"in {' and '.join(lacking)}: no score for it there. Add images of other parts."
            )
    return found
