"""Open whatever a person has: any catalog layout, Severstal's tables, annotation files of any form
that is known, labels alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.labels import DEVIATION, is_good_label, label_names
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.class_names import read_class_numbers
from defectvision.data.masks import UNREADABLE, Mask, Masks, each_mask
from defectvision.data.readers.annotated import Read
from defectvision.data.readers.coco import find_coco, read_coco
from defectvision.data.readers.dagm import is_dagm, read_dagm
from defectvision.data.readers.folders import open_catalog
from defectvision.data.readers.index import find_index
from defectvision.data.readers.labelme import has_shapes, is_labelme, read_labelme
from defectvision.data.readers.loco import is_loco, read_loco
from defectvision.data.readers.magnetic_tile import is_magnetic_tile, read_magnetic_tile
from defectvision.data.readers.set_files import SetFiles
from defectvision.data.readers.severstal import find_severstal, read_severstal
from defectvision.data.readers.visa import find_visa, read_visa
from defectvision.data.readers.voc import is_voc, read_voc
from defectvision.data.readers.yolo import is_yolo, read_yolo
from defectvision.limits import PIXELS

# Annotations and layouts of several files, by whose they are: are they there, and the reader.
ANNOTATED: dict[str, tuple[Callable[[SetFiles], bool], Callable[[SetFiles], Read]]] = {
    "MVTec LOCO": (is_loco, read_loco),
    "DAGM": (is_dagm, read_dagm),
    "YOLO": (is_yolo, read_yolo),
    "LabelMe": (is_labelme, read_labelme),
    "Pascal VOC": (is_voc, read_voc),
}
ANNOTATION_COLUMNS = ("image", "label", "kind", "shape", "area_px")


def no_annotations() -> pd.DataFrame:
    """An annotation table without rows."""
    return pd.DataFrame({name: pd.Series(dtype=object) for name in ANNOTATION_COLUMNS})


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A catalog and what else its layout says about where the defects are.

    `annotations` has a row per annotation: `image` (row number of the catalog), `label`, `kind`
    (`rle`, `polygon`, `box`, `relative polygon`, `relative box`, `file`, `area` or UNREADABLE),
    `shape` (the run-length text, a list of polygons [[x, y, x, y, ...], ...] in px, [left, top,
    width, height] in px, both as shares of the upright image where they are relative, the path of
    a mask below the root in which all but 0 marks, or what is wrong), `area_px` (NaN where only
    the shape tells) and, where the file tells it, `size` ((height, width) that the shape is made
    for). The one mask of an image stands in the catalog. `has_images` is False where only labels
    are there.
    """

    catalog: Catalog
    annotations: pd.DataFrame = field(default_factory=no_annotations)
    has_images: bool = True
    limit_pixels: int = PIXELS
    bits: int | None = None

    @cached_property
    def _class_numbers(self) -> dict[int, str]:
        return read_class_numbers(self.catalog.root)

    @cached_property
    def _rows(self) -> dict[int, pd.DataFrame]:
        """Annotations that show a place, by image; an area alone shows none."""
        placed = self.annotations[self.annotations["kind"] != "area"]
        return dict(iter(placed.groupby("image")))

    @property
    def unreadable(self) -> list[str]:
        """What is wrong with annotations whose place cannot be told."""
        rows = self.annotations
        return rows.loc[rows["kind"] == UNREADABLE, "shape"].tolist()

    @property
    def has_masks(self) -> bool:
        """Whether any image says where its defects are."""
        return bool((self.catalog.table["mask"] != "").any() or len(self._rows))

    def take(self, rows: NDArray[np.int_]) -> "ImageSet":
        """The set with only these images, by row number, and their annotations."""
        number = pd.Series(np.arange(len(rows)), index=np.asarray(rows, int))
        kept = self.annotations[self.annotations["image"].isin(number.index)]
        table = self.catalog.table.iloc[rows].reset_index(drop=True)
        return replace(
            self,
            catalog=replace(self.catalog, table=table),
            annotations=kept.assign(image=kept["image"].map(number)).reset_index(drop=True),
        )

    def subset(self, split: str) -> "ImageSet":
        """The images of one split; raises CatalogError where it has none."""
        self.catalog.subset(split)
        return self.take(np.flatnonzero(self.catalog.table["split"] == split))

    def masks(self, image: int, size: tuple[int, int]) -> Masks:
        """The (label, (H, W) bool) masks of an image of `size` (height, width) px.

        Raises CatalogError or OSError where they cannot be read or have another size.
        """
        return list(self._each_mask(image, size))

    def _each_mask(self, image: int, size: tuple[int, int]) -> Iterator[Mask]:
        return each_mask(
            size,
            file=self.catalog.mask_path(image),
            label=self.catalog.table["label"].iloc[image],
            classes=self._class_numbers,
            annotations=self._rows.get(image),
            root=self.catalog.root,
            photograph=self.catalog.table["path"].iloc[image],
        )

    def class_masks(
        self, image: int, size: tuple[int, int], classes: Sequence[str]
    ) -> NDArray[np.bool_] | None:
        """(K, H, W) masks of `classes` on an image of `size` (height, width) px; None where it
        shows one of them that nobody has marked. On a line from good parts every mask is of a
        deviation. Raises what `masks` does.
        """
        text = self.catalog.table["label"].iloc[image]
        shown = set(label_names(text))
        one = tuple(classes) == (DEVIATION,)
        if one:
            shown = set() if is_good_label(text) else {DEVIATION}
        drawn = np.zeros((len(classes), *size), bool)
        missing = shown & set(classes)
        for name, mask in self._each_mask(image, size):
            label = DEVIATION if one else name
            if label in classes:
                drawn[classes.index(label)] |= mask
                missing.discard(label)
        return None if missing else drawn


def open_set(
    path: Path,
    limit_pixels: int,
    bits: int | None = None,
    good: Sequence[str] = (),
    unsorted_good: bool = False,
) -> ImageSet:
    """Open a folder, an `index.csv`, a COCO file, a `data.yaml` or one of Severstal's tables; its
    images are decoded up to `limit_pixels` px. good: classes that mean a good part, besides those
    whose names say so. unsorted_good: whether the images of a folder without class folders are good
    parts; else such a folder is refused.

    Raises CatalogError, which says what is wrong and what to do.
    """
    images = _open(Path(path).expanduser(), unsorted_good, limit_pixels)
    catalog = images.catalog.with_good(good) if good else images.catalog
    return replace(images, catalog=catalog, limit_pixels=limit_pixels, bits=bits)


def _open(path: Path, unsorted_good: bool, limit_pixels: int) -> ImageSet:
    if path.is_file() and path.suffix.lower() == ".json":
        try:
            return ImageSet(*read_coco(path))
        except CatalogError as error:
            if not has_shapes(path):
                raise
            said = f"{path}: the LabelMe file of one image. Open the folder of all."
            raise CatalogError(said) from error
    if table := find_severstal(path):
        return ImageSet(*read_severstal(table))
    if table := find_visa(path):
        return ImageSet(*read_visa(table))
    if path.is_file() and path.suffix.lower() in (".yaml", ".yml"):
        files = SetFiles(path.parent)
        return _with_unnamed(files, *read_yolo(files, PurePosixPath(path.name)))
    if path.is_dir() and find_index(path) is None:
        coco = find_coco(path)
        if coco is None and is_magnetic_tile(path):
            return ImageSet(read_magnetic_tile(path))
        files = SetFiles(path)
        fitting = [name for name, (is_such, _) in ANNOTATED.items() if is_such(files)]
        if len(fitting) + (coco is not None) > 1:
            by_path = f", or open {coco.name} by its path" if coco else ""
            raise CatalogError(
                f"{path}: {' and '.join(['COCO', *fitting] if coco else fitting)} annotations, and "
                f"which of them hold is not known. Move the others away{by_path}."
            )
        if coco is not None:
            return ImageSet(*read_coco(coco))
        for name in fitting:
            return _with_unnamed(files, *ANNOTATED[name][1](files))
    catalog = open_catalog(path, unsorted_good, limit_pixels)
    if not len(catalog):
        raise CatalogError(f"{path}: no image in it. Give a folder that holds images.")
    return ImageSet(catalog)


def _with_unnamed(
    files: SetFiles, catalog: Catalog, annotations: pd.DataFrame, has_images: bool
) -> ImageSet:
    left_out = (*catalog.left_out, *files.left_out())
    return ImageSet(replace(catalog, left_out=left_out), annotations, has_images)
