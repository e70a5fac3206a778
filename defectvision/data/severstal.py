"""Readers of Severstal's tables: `train.csv` with its strips, or the labels of all images alone."""

import csv
from pathlib import Path

import pandas as pd

from defectvision.data.catalog import LABEL_SEPARATOR, Catalog, CatalogError, catalog_table

TRAIN_TABLE, TRAIN_IMAGES = "train.csv", "train_images"
TRAIN_COLUMNS = {"ImageId", "ClassId", "EncodedPixels"}
LABEL_COLUMNS = {"image_id", "class_ids"}
AREA_PREFIX = "area_class_"


def find_severstal(path: Path) -> Path | None:
    """The Severstal table that `path` is, or that stands in the folder `path`; None: neither."""
    if path.is_dir():
        if (path / "index.csv").is_file():
            return None
        path = path / TRAIN_TABLE
    if path.suffix.lower() != ".csv" or not path.is_file():
        return None
    columns = set(_header(path))
    return path if columns >= TRAIN_COLUMNS or columns >= LABEL_COLUMNS else None


def read_severstal(table: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    """The catalog, its annotations, and whether the images are there.

    A clean strip has no row in `train.csv`: the clean ones are the images of `train_images/`
    that it does not name. Labels are the class numbers as text, '' is a clean strip. Raises
    CatalogError for rows that cannot be read.
    """
    try:
        if set(_header(table)) >= LABEL_COLUMNS:
            return _labels_alone(table)
        return _train(table)
    except pd.errors.ParserError as error:
        raise CatalogError(f"{table}: not a table ({error}).") from error


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _labels_alone(table: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    labels = rows["class_ids"].str.split().map(lambda ids: LABEL_SEPARATOR.join(sorted(ids)))
    _refuse_repeats(rows["image_id"], table)
    catalog = Catalog(
        table.parent,
        catalog_table({"path": rows["image_id"].tolist(), "label": labels.tolist()}),
        table.parent.resolve().name,
        ("Only labels are here, no images: charts that need pixels are left out.",),
        "severstal labels",
    )
    areas = []
    for column in (c for c in rows.columns if c.startswith(AREA_PREFIX)):
        area = pd.to_numeric(rows[column], errors="coerce")
        some = area[area > 0]
        areas.append(
            pd.DataFrame(
                {
                    "image": some.index,
                    "label": column.removeprefix(AREA_PREFIX),
                    "kind": "area",
                    "shape": None,
                    "area_px": some.to_numpy(),
                }
            )
        )
    found = pd.concat(areas, ignore_index=True) if areas else _empty()
    return catalog, found, False


def _train(table: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    rows = rows[rows["EncodedPixels"].str.strip() != ""]
    folder = table.parent / TRAIN_IMAGES
    has_images = folder.is_dir()
    warnings: list[str] = []
    named = sorted(set(rows["ImageId"]))
    if has_images:
        here = sorted(file.name for file in folder.glob("*.jpg"))
        missing = sorted(set(named) - set(here))
        if missing:
            warnings.append(f"{len(missing)} images that {table.name} names are not in {folder}.")
        images, prefix = here, f"{TRAIN_IMAGES}/"
    else:
        images, prefix = named, ""
        warnings.append(f"no folder {TRAIN_IMAGES} beside {table.name}: clean strips are unknown.")
    if not images:
        raise CatalogError(f"{table}: no image. Put the strips into {folder}.")
    rows = rows[rows["ImageId"].isin(images)]
    labels = rows.groupby("ImageId")["ClassId"].agg(
        lambda ids: LABEL_SEPARATOR.join(sorted(set(ids)))
    )
    number = {name: i for i, name in enumerate(images)}
    catalog = Catalog(
        table.parent,
        catalog_table(
            {
                "path": [prefix + name for name in images],
                "label": [labels.get(name, "") for name in images],
            }
        ),
        table.parent.resolve().name,
        tuple(warnings),
        "severstal",
    )
    found = pd.DataFrame(
        {
            "image": rows["ImageId"].map(number).to_numpy(),
            "label": rows["ClassId"].to_numpy(),
            "kind": "rle",
            "shape": rows["EncodedPixels"].to_numpy(),
            "area_px": float("nan"),
        }
    )
    return catalog, found, has_images


def _refuse_repeats(names: pd.Series, table: Path) -> None:
    if (twice := names[names.duplicated()]).size:
        raise CatalogError(f"{table}: {twice.iloc[0]!r} stands twice. Keep one row per image.")


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=["image", "label", "kind", "shape", "area_px"])
