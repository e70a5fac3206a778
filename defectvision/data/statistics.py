"""What a catalog's labels say: balance, co-occurrence, and what the imbalance means."""

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from defectvision.bundle.labels import UNNAMED_GOOD, is_good_name, label_names
from defectvision.data.catalog import SPLITS, Catalog

GOOD = "(good)"
EFFECTIVE_BETA = 0.999


def good_classes(catalog: Catalog) -> set[str]:
    """The classes that mean a good part, by their names; images without a label are good too."""
    return {name for name in catalog.classes if is_good_name(name)}


def lacks_good(catalog: Catalog) -> str:
    """What to say of a set in which no image is known to be good, '' where one is."""
    if catalog.good_count or good_classes(catalog) or not len(catalog):
        return ""
    return (
        f"no good class among {', '.join(catalog.classes)}: a line of it would reject every part. "
        "If one of them means good, name it with --good NAME, or call it by a "
        "name that is known (ok, good, free, normal, clean, ...)."
    )


def label_sets(catalog: Catalog) -> pd.Series:
    """Per image the tuple of its classes; a good image without label has `(GOOD,)`."""
    return catalog.table["label"].map(labels_of)


def labels_of(label: str) -> tuple[str, ...]:
    """The classes of one image's label; `(GOOD,)` where it is empty."""
    return label_names(label) or (GOOD,)


def primary_label(catalog: Catalog) -> pd.Series:
    """Per image one text to colour by: its class, `a + b` for several, GOOD for none."""
    return label_sets(catalog).map(lambda names: " + ".join(sorted(names))).rename("label")


def class_balance(catalog: Catalog, annotations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Per class `images`, `share` (of all images) and `regions`, the most frequent first.

    `annotations` needs a column `label`, a row per region; without it `regions` is NaN.
    """
    names = label_sets(catalog).explode()
    counts = names.value_counts().rename_axis("label").rename("images").reset_index()
    counts["share"] = counts["images"] / max(1, len(catalog))
    if annotations is not None and len(annotations):
        regions = annotations["label"].value_counts()
        counts["regions"] = counts["label"].map(regions).fillna(0).astype("int64")
    else:
        counts["regions"] = np.nan
    return counts.sort_values(["images", "label"], ascending=[False, True], ignore_index=True)


def balance_by_split(catalog: Catalog) -> pd.DataFrame:
    """Rows (split, label, images); the split of images without one is `(none)`."""
    rows = pd.DataFrame(
        {
            "split": catalog.table["split"].where(catalog.table["split"] != "", "(none)"),
            "label": label_sets(catalog),
        }
    ).explode("label")
    counts = rows.groupby(["split", "label"]).size().rename("images").reset_index()
    order = {name: i for i, name in enumerate((*SPLITS, "(none)"))}
    return counts.sort_values(
        ["split", "images"], key=lambda c: c.map(order) if c.name == "split" else -c
    ).reset_index(drop=True)


def imbalance_ratio(balance: pd.DataFrame, *, defects_only: bool = False) -> float | None:
    """Images of the largest class for one of the smallest; None with fewer than two classes.

    `defects_only` leaves the images without a label out.
    """
    rows = balance[balance["label"] != GOOD] if defects_only else balance
    counts = rows.loc[rows["images"] > 0, "images"]
    return float(counts.max() / counts.min()) if len(counts) > 1 else None


def majority_accuracy(catalog: Catalog) -> tuple[str, float]:
    """The most frequent answer (a whole label set) and the accuracy of always giving it."""
    answers = primary_label(catalog).value_counts()
    return str(answers.index[0]), float(answers.iloc[0] / len(catalog))


def defects_per_image(catalog: Catalog) -> pd.DataFrame:
    """Rows (classes, images): how many images show 0, 1, 2, ... different defect classes."""
    good = good_classes(catalog) | {GOOD}
    counts = label_sets(catalog).map(lambda names: sum(name not in good for name in names))
    table = counts.value_counts().sort_index().rename_axis("classes").rename("images")
    return table.reset_index()


def good_and_defective(catalog: Catalog) -> pd.DataFrame:
    """Rows (kind, images) with the kinds `good` and `defective`."""
    good = good_classes(catalog) | {GOOD}
    is_good = label_sets(catalog).map(lambda names: all(name in good for name in names))
    return pd.DataFrame(
        {"kind": ["good", "defective"], "images": [int(is_good.sum()), int((~is_good).sum())]}
    )


def co_occurrence(catalog: Catalog) -> pd.DataFrame:
    """(classes x classes) images that show both; the diagonal is the images of the class."""
    sets = label_sets(catalog)
    names = list(catalog.classes)
    number = {name: i for i, name in enumerate(names)}
    has = np.zeros((len(catalog), len(names)), np.int64)
    for row, shown in enumerate(sets):
        for name in shown:
            if name != GOOD:
                has[row, number[name]] = 1
    return pd.DataFrame(has.T @ has, index=names, columns=names)


def class_weights(balance: pd.DataFrame, beta: float = EFFECTIVE_BETA) -> pd.DataFrame:
    """Per class the weights `inverse` and `effective`, each with mean 1 over the images.

    Inverse: 1 / images. Effective number: (1 - beta) / (1 - beta**images), Cui et al., 2019:
    images of one class overlap more the more there are, so rare classes are raised less.
    """
    counts = balance[balance["images"] > 0].reset_index(drop=True)
    images = counts["images"].to_numpy(np.float64)
    for name, raw in (
        ("inverse", 1 / images),
        ("effective", (1 - beta) / (1 - np.power(beta, images))),
    ):
        counts[name] = raw * images.sum() / (raw * images).sum()
    return counts


def trained_balance(catalog: Catalog) -> pd.DataFrame:
    """Images per class (`label`, `images`, the most frequent first) as a training counts and names
    them, and `shown_as`, the list of the classes in the catalog that are meant.

    Where each image has one class, those without a label are of the set's good class, or of
    UNNAMED_GOOD where it has none. Where images have several, good is the absence of a class.
    """
    sets = label_sets(catalog)
    good = sorted(good_classes(catalog))
    if (sets.map(len) > 1).any():
        names = {name: name for name in catalog.classes if name not in good}
    else:
        names = {name: name for name in catalog.classes} | {GOOD: next(iter(good), UNNAMED_GOOD)}
    rows = pd.DataFrame({"shown_as": sets.explode()})
    rows["label"] = rows["shown_as"].map(names)
    table = (
        rows.dropna(subset="label")
        .groupby("label")["shown_as"]
        .agg(images="size", shown_as=lambda shown: sorted(set(shown)))
        .reset_index()
    )
    return table.sort_values(["images", "label"], ascending=[False, True], ignore_index=True)


def recipe_lines(weights: pd.DataFrame, column: str) -> str:
    """A column of `class_weights` of `trained_balance` as YAML, to paste into a recipe."""
    # Quoted always: YAML reads a bare `no` or `3` as something else than a name.
    rows = [
        f"    {json.dumps(label, ensure_ascii=False)}: {weight:.4g}"
        for label, weight in zip(weights["label"], weights[column], strict=True)
    ]
    return "\n".join(["imbalance:", "  class_weights:", *rows])


def summary(catalog: Catalog) -> Mapping[str, object]:
    """The figures of the class charts, for machines."""
    balance = class_balance(catalog)
    answer, accuracy = majority_accuracy(catalog)
    matrix = co_occurrence(catalog)
    kinds = good_and_defective(catalog).set_index("kind")["images"]
    return {
        "images": len(catalog),
        "counts": {r.label: int(r.images) for r in balance.itertuples() if r.label != GOOD},
        "clean": catalog.good_count,
        "good": int(kinds["good"]),
        "defective": int(kinds["defective"]),
        "imbalance_ratio": imbalance_ratio(balance),
        "imbalance_ratio_defects": imbalance_ratio(balance, defects_only=True),
        "majority": {"answer": answer, "accuracy": accuracy},
        "co_occurrence": {
            str(name): {str(other): int(n) for other, n in row.items()}
            for name, row in matrix.to_dict("index").items()
        },
        "class_weights": {
            r.label: {"inverse": float(r.inverse), "effective": float(r.effective)}
            for r in class_weights(balance).itertuples()
        },
    }
