"""Readers of Severstal's tables: `train.csv` with its strips, or the labels of all images alone."""

import csv
import warnings
from pathlib import Path, PurePosixPath

import pandas as pd

from defectvision.bundle.labels import SEPARATOR
from defectvision.data.catalog import Catalog, CatalogError, LeftOut, catalog_table
from defectvision.data.image_head import image_size
from defectvision.data.image_names import is_image_name
from defectvision.data.readers.found_images import FoundImages
from defectvision.data.readers.index import find_index
from defectvision.data.readers.listing import is_text, left_out_unnamed
from defectvision.data.rle.severstal import read_runs, runs_within

TRAIN_TABLE, TRAIN_IMAGES = "train.csv", "train_images"
TRAIN_COLUMNS = {"ImageId", "ClassId", "EncodedPixels"}
# As first published: a row for each image and class, empty where the class is not there.
JOINED_COLUMNS = {"ImageId_ClassId", "EncodedPixels"}
LABEL_COLUMNS = {"image_id", "class_ids"}
AREA_PREFIX = "area_class_"


def find_severstal(path: Path) -> Path | None:
    """The Severstal table that `path` is, or that stands in the folder `path`; None: neither."""
    if (table := own_table(path, TRAIN_TABLE)) is None:
        return None
    columns = set(header(table))
    known = (TRAIN_COLUMNS, JOINED_COLUMNS, LABEL_COLUMNS)
    return table if any(columns >= names for names in known) else None


def read_severstal(table: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    """The catalog, its annotations, and whether the images are there.

    `train.csv` in either published form. A clean strip has no row with runs: the clean ones are
    the other images of `train_images/`, and those that the table names with empty rows alone.
    Labels are the class numbers as text, '' is a clean strip. Images that are named and not there
    are left out with a warning that names the first and its row. Raises CatalogError, naming file
    and row, for run lengths that cannot be read or do not fit their image.
    """
    try:
        if set(header(table)) >= LABEL_COLUMNS:
            return _labels_alone(table)
        return _train(table)
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        pd.errors.EmptyDataError,
        UnicodeDecodeError,
    ) as error:
        raise CatalogError(f"{table}: not a table ({error}).") from error


def own_table(path: Path, inside: str) -> Path | None:
    """The table that `path` is, or that stands at `inside` in the folder `path`, unless that has an
    index, which wins over all else; None where there is none."""
    table = path / inside if path.is_dir() else path
    if table.suffix.lower() != ".csv" or not table.is_file():
        return None
    return None if path.is_dir() and find_index(path) else table


def header(path: Path) -> list[str]:
    """The names of the columns of a table; none where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _rows(table: Path) -> pd.DataFrame:
    """All cells as text; a row that lacks some has '' there."""
    with warnings.catch_warnings():
        # Of a row with more cells than there are columns, some would be lost.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        rows = pd.read_csv(
            table, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig"
        )
    rows.columns = rows.columns.str.strip()
    return rows.fillna("").astype("str")


def _labels_alone(table: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    rows = _rows(table)
    labels = rows["class_ids"].str.split().map(lambda ids: SEPARATOR.join(sorted(ids)))
    _refuse_repeats(rows["image_id"], table)
    if rows.empty:
        raise CatalogError(f"{table}: no image. Name at least one.")
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
    rows = _train_rows(table)
    folder = table.parent / TRAIN_IMAGES
    has_images = folder.is_dir()
    notes: list[str] = []
    left_out: list[LeftOut] = []
    if has_images:
        images = sorted(file.name for file in folder.iterdir() if is_image_name(file.name))
        left_out += left_out_unnamed(PurePosixPath(x) for x in images if not is_text(x))
        images = [name for name in images if is_text(name)]
        prefix = f"{TRAIN_IMAGES}/"
        there = FoundImages(folder, files=images)
        names = {name: there.find(name) or name for name in rows["ImageId"].unique()}
        rows = _once(rows.assign(ImageId=rows["ImageId"].map(names)), table)
        missing = rows[~rows["ImageId"].isin(images)]
        if len(missing):
            first = missing.iloc[0]
            reason = (
                f"{missing['ImageId'].nunique()} images that {table.name} names are not in "
                f"{folder}; the first is {first['ImageId']!r}, row {first['row']}"
            )
            left_out.append(LeftOut(str(table), reason, "Put them there, or take the rows out."))
    else:
        images, prefix = sorted(set(rows["ImageId"])), ""
        unknown = "" if (rows["EncodedPixels"] == "").any() else ": clean strips are unknown"
        notes.append(f"no folder {TRAIN_IMAGES} beside {table.name}{unknown}.")
    if not images:
        raise CatalogError(f"{table}: no image. Put the strips into {folder}.")
    rows = rows[(rows["EncodedPixels"] != "") & rows["ImageId"].isin(images)]
    _check_runs(rows, table, folder if has_images else None)
    labels = rows.groupby("ImageId")["ClassId"].agg(lambda ids: SEPARATOR.join(sorted(ids)))
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
        tuple(notes),
        "severstal",
        tuple(left_out),
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


def _train_rows(table: Path) -> pd.DataFrame:
    """Columns ImageId, ClassId, EncodedPixels of either published form, and `row`, the line of
    the file as a spreadsheet counts it."""
    rows = _rows(table)
    if not set(rows.columns) >= TRAIN_COLUMNS:
        parts = [text.rpartition("_") for text in rows["ImageId_ClassId"]]
        rows = rows.assign(
            ImageId=pd.Series([part[0] for part in parts], dtype="str"),
            ClassId=pd.Series([part[2] for part in parts], dtype="str"),
        )
    rows = pd.DataFrame(
        {name: rows[name].str.strip() for name in ("ImageId", "ClassId", "EncodedPixels")}
    ).assign(row=range(2, len(rows) + 2))
    wrong = rows[(rows["ImageId"] == "") | ~rows["ClassId"].str.fullmatch("[0-9]+")]
    if len(wrong):
        first = wrong.iloc[0]
        raise CatalogError(
            f"{table}, row {first['row']}: the image {first['ImageId']!r} with the class "
            f"{first['ClassId']!r}. A row names an image and the number of a class."
        )
    return _once(rows, table)


def _once(rows: pd.DataFrame, table: Path) -> pd.DataFrame:
    """`rows`, refused where one image has a class twice."""
    twice = rows[rows.duplicated(["ImageId", "ClassId"])]
    if len(twice):
        first = twice.iloc[0]
        raise CatalogError(
            f"{table}, row {first['row']}: {first['ImageId']!r} has class {first['ClassId']} in "
            "an earlier row too. Keep one row for an image and class."
        )
    return rows


def _check_runs(rows: pd.DataFrame, table: Path, folder: Path | None) -> None:
    """Refuse run lengths that cannot be read, or that end past their image. An image that cannot
    be read is named when it is read, and stops nobody from reading the others."""
    sizes: dict[str, tuple[int, int] | None] = {}
    for image, text, row in zip(rows["ImageId"], rows["EncodedPixels"], rows["row"], strict=True):
        where = f"{table}, row {row} ({image})"
        if folder is not None and image not in sizes:
            sizes[image] = image_size(folder / image)
        if size := sizes.get(image):
            runs_within(text, *size, where)
        else:
            read_runs(text, where)


def _refuse_repeats(names: pd.Series, table: Path) -> None:
    if (twice := names[names.duplicated()]).size:
        raise CatalogError(f"{table}: {twice.iloc[0]!r} stands twice. Keep one row per image.")


def _empty() -> pd.DataFrame:
    return pd.DataFrame(columns=["image", "label", "kind", "shape", "area_px"])
