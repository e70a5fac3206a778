"""The catalog: a labelled image set as one table of strings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision import atomic
from defectvision.bundle.labels import SEPARATOR, label_names
from defectvision.csv_file import ENCODING

COLUMNS = ("path", "label", "mask", "photo_group", "split")
REQUIRED_COLUMNS = ("path", "label")
SPLITS = ("train", "val", "test")
INDEX_NAME = "index.csv"


class CatalogError(ValueError):
    """A labelled image set cannot be used; the message names the place, the reason, the remedy."""


def catalog_table(columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """A table with exactly `COLUMNS` as `str`; columns that are not given are filled with ''.

    Raises CatalogError for an unknown or a missing required column and for a missing value.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if unknown or missing:
        raise CatalogError(
            f"catalog table: unknown columns {unknown}, missing columns {missing}. "
            f"Give {', '.join(REQUIRED_COLUMNS)} and any of {', '.join(COLUMNS[2:])}."
        )
    size = len(columns["path"])
    table = pd.DataFrame(
        {
            name: pd.Series(list(columns[name]) if name in columns else [""] * size, dtype="str")
            for name in COLUMNS
        }
    )
    for name in COLUMNS:
        gaps = np.flatnonzero(table[name].isna())
        if gaps.size:
            raise CatalogError(
                f"catalog table: column {name!r} has no value in row {gaps[0]}. Give '' where "
                "nothing is known."
            )
    return table


@dataclass(frozen=True)
class LeftOut:
    """What a set names or holds and its catalog does not: a row without its image, a mask without
    its photograph. The name, the reason, the remedy."""

    name: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}. {self.remedy}"


@dataclass(frozen=True, eq=False)
class Catalog:
    """A labelled image set.

    `table` has exactly the `str` columns `path` (posix, relative to `root`), `label`
    (`|`-separated, '' = good), `mask`, `photo_group`, `split` ('' where unknown), with the row
    numbers 0..n-1 as its index; `left_out` is what it should hold besides; `groups_differ` tells
    that images of one group may rightly differ in label, as those of several sides of a part do.
    Raises CatalogError where the table has another shape.
    """

    root: Path
    table: pd.DataFrame
    name: str
    warnings: tuple[str, ...] = ()
    layout: str = INDEX_NAME
    left_out: tuple[LeftOut, ...] = ()
    groups_differ: bool = False

    def __post_init__(self) -> None:
        if tuple(self.table.columns) != COLUMNS:
            raise CatalogError(
                f"catalog {self.name!r}: columns {list(self.table.columns)} instead of "
                f"{list(COLUMNS)}. Build the table with catalog_table()."
            )
        object.__setattr__(self, "root", Path(self.root))
        object.__setattr__(self, "table", self.table.reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def classes(self) -> tuple[str, ...]:
        """The single label names, sorted. A good image ('') adds none."""
        return tuple(
            sorted({name for label in self.table["label"].unique() for name in label_names(label)})
        )

    @property
    def good_count(self) -> int:
        """Number of images without a label, which `counts` has no row for."""
        return int((self.table["label"] == "").sum())

    def counts(self) -> pd.Series:
        """Images per class, indexed by `classes`; an image with two labels counts in both."""
        names = self.table["label"].map(label_names).explode().dropna()
        counts = names.value_counts().reindex(list(self.classes), fill_value=0)
        return counts.astype("int64").rename("images")

    def with_good(self, names: Sequence[str]) -> "Catalog":
        """The catalog in which images of the classes `names` are good; raises CatalogError for a
        name that no image has."""
        if unknown := [name for name in names if name not in self.classes]:
            raise CatalogError(
                f"catalog {self.name!r}: no class {unknown[0]!r} to call good. Its classes: "
                f"{', '.join(self.classes) or '(none)'}."
            )
        labels = self.table["label"].map(
            lambda label: SEPARATOR.join(n for n in label_names(label) if n not in names)
        )
        return replace(self, table=self.table.assign(label=labels))

    def subset(self, split: str) -> "Catalog":
        """The images of one split, in their order.

        Raises CatalogError for a name that is not in `SPLITS` and where the split has no image.
        """
        if split not in SPLITS:
            raise CatalogError(
                f"catalog {self.name!r}: no split is called {split!r}. "
                f"Choose one of {', '.join(SPLITS)}."
            )
        rows = self.table["split"] == split
        if not rows.any():
            there = [name for name in SPLITS if (self.table["split"] == name).any()]
            remedy = f"Choose {' or '.join(there)}" if there else "Take all images"
            raise CatalogError(
                f"{self.root}: no image is in split {split!r}. {remedy}, or name the split of each "
                f"image in the column split of an {INDEX_NAME}."
            )
        return replace(self, table=self.table[rows])

    def image_path(self, i: int) -> Path:
        """File of image number `i`."""
        return self.root / self.table["path"].iloc[i]

    def mask_path(self, i: int) -> Path | None:
        """Mask file of image number `i`, None where it has none."""
        mask = self.table["mask"].iloc[i]
        return self.root / mask if mask else None

    def groups(self) -> NDArray[np.str_]:
        """(n,) photo group of each image; an image of unknown group gets an id of its own."""
        known = self.table["photo_group"]
        prefix = "image:"
        # A group that is spelled like an own id would be merged with an unknown image.
        while known.str.startswith(prefix).any():
            prefix = "_" + prefix
        return known.where(known != "", prefix + self.table["path"]).to_numpy().astype(np.str_)

    def contradictions(self) -> pd.DataFrame:
        """Rows of photo groups whose images carry different labels, ordered by group."""
        known = self.table[self.table["photo_group"] != ""]
        if self.groups_differ:
            return known[:0]
        # a|b and b|a say the same
        labels = known["label"].map(lambda label: SEPARATOR.join(sorted(label_names(label))))
        differing = labels.groupby(known["photo_group"]).transform("nunique") > 1
        return known[differing].sort_values(["photo_group", "path"])

    def index_csv(self) -> bytes:
        """The table as the content of an index, see csv_file.py; optional columns without any
        value are left out.

        Paths stay relative to `root`, so it describes the images only beside them.
        """
        filled = [
            name for name in COLUMNS if name in REQUIRED_COLUMNS or (self.table[name] != "").any()
        ]
        text = self.table[filled].to_csv(index=False, lineterminator="\n")
        return str(text).encode(ENCODING)

    def write_index(self, path: Path) -> None:
        """Write `index_csv` to `path`; raises OSError."""
        atomic.write_bytes(path, self.index_csv())
