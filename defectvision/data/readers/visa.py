"""Reader of VisA's own tables: `split_csv/1cls.csv` of all products and `image_anno.csv` of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from defectvision.bundle.labels import SEPARATOR, UNNAMED_GOOD, join_labels, spelled
from defectvision.data.readers.annotated import Marked, Marks, Read
from defectvision.data.readers.coco_shapes import NAN, Shape
from defectvision.data.readers.index import read_index
from defectvision.data.readers.severstal import header, own_table

SPLITS_FOLDER, ONE_CLASS = "split_csv", "1cls.csv"
COLUMNS = {"image", "label", "mask"}


def find_visa(path: Path) -> Path | None:
    """The table that `path` is, or by which the folder `path` is divided; None: neither."""
    if (table := own_table(path, f"{SPLITS_FOLDER}/{ONE_CLASS}")) is None:
        return None
    columns = {name.strip().lower() for name in header(table)}
    return table if columns >= COLUMNS and "path" not in columns else None


def read_visa(table: Path) -> Read:
    """The catalog, its annotations, and True: a mask is a row of kind `file`, as all but 0 marks.

    Several defects of an image stand in one cell, divided by commas; its one mask does not tell
    them apart and is not read. A row that cannot be used is left out and named, see `read_index`,
    which tells what is raised too.
    """
    apart = table.parent.name.casefold() == SPLITS_FOLDER
    found = read_index(table, table.parent.parent if apart else table.parent, {"image": "path"})
    rows = found.table
    labels = [join_labels(spelled(name) for name in label.split(",")) for label in rows["label"]]
    marks, several = Marks(), 0
    for path, label, mask in zip(rows["path"], labels, rows["mask"], strict=True):
        if mask and SEPARATOR in label:
            several += 1
        elif mask:
            shape = Shape("file", mask, NAN, None)
            marks.add(PurePosixPath(path), Marked([(label or UNNAMED_GOOD, shape)]))
    warnings = list(found.warnings)
    if several:
        warnings.append(f"{several} images have one mask for several defects, which is not read.")
    products = sorted({PurePosixPath(path).parts[0] for path in rows["path"]}) if apart else []
    if len(products) > 1:
        warnings.append(
            f"{len(products)} products ({', '.join(products)}) in one set, and a line is of one. "
            "Open the folder of one, or its image_anno.csv."
        )
    catalog = replace(
        found, table=rows.assign(label=labels, mask=""), layout="visa", warnings=tuple(warnings)
    )
    return catalog, marks.table([PurePosixPath(path) for path in rows["path"]]), True
