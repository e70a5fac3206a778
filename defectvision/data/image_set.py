"""Open whatever a person has: any catalog layout, Severstal's tables, COCO, labels alone."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.coco import find_coco, read_coco
from defectvision.data.magnetic_tile import is_magnetic_tile, read_magnetic_tile
from defectvision.data.readers import open_catalog
from defectvision.data.severstal import find_severstal, read_severstal

ANNOTATION_COLUMNS = ("image", "label", "kind", "shape", "area_px")


def no_annotations() -> pd.DataFrame:
    """An annotation table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in ANNOTATION_COLUMNS})


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A catalog and what else its layout says about where the defects are.

    `annotations` has a row per annotation: `image` (row number of the catalog), `label`, `kind`
    (`rle`, `polygon`, `box` or `area`), `shape` (the run-length text, a list of polygons
    [[x, y, x, y, ...], ...] in px, or [left, top, width, height] in px) and `area_px` (NaN where
    only the shape tells). Masks in files stand in the catalog. `has_images` is False where only
    labels are there.
    """

    catalog: Catalog
    annotations: pd.DataFrame = field(default_factory=no_annotations)
    has_images: bool = True


def open_set(path: Path) -> ImageSet:
    """Open a folder, an `index.csv`, a COCO file or one of Severstal's tables.

    Raises CatalogError, which says what is wrong and what to do.
    """
    path = Path(path).expanduser()
    if path.is_file() and path.suffix.lower() == ".json":
        return ImageSet(*read_coco(path))
    if table := find_severstal(path):
        return ImageSet(*read_severstal(table))
    if path.is_dir() and not (path / "index.csv").is_file():
        if file := find_coco(path):
            return ImageSet(*read_coco(file))
        if is_magnetic_tile(path):
            return ImageSet(read_magnetic_tile(path))
    catalog = open_catalog(path)
    if not len(catalog):
        raise CatalogError(f"{path}: no image in it. Give a folder that holds images.")
    return ImageSet(catalog)
