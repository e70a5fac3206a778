"""Sets whose annotations lie in a file an image (YOLO, LabelMe, VOC): which file belongs to which
image, and what all of them mark together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from defectvision.bundle.labels import SEPARATOR, is_good_name
from defectvision.data.catalog import Catalog, CatalogError, LeftOut
from defectvision.data.image_names import IMAGE_SUFFIXES, is_image_name
from defectvision.data.masks import UNREADABLE
from defectvision.data.readers.coco_shapes import NAN, Shape
from defectvision.data.readers.found_images import FoundImages, plain
from defectvision.data.readers.index import checked_catalog, examples
from defectvision.data.readers.listing import Folders, scan, split_of
from defectvision.data.readers.mask_layout import split_masks

OTHER_SUFFIXES = frozenset({".json", ".xml", ".txt", ".yaml", ".yml", ".names", ".data"})
IMAGE_FOLDERS = frozenset({"images", "jpegimages", "imgs", "img", "image", "data"})
ANNOTATION_FOLDERS = frozenset({"labels", "label", "annotations", "annotation", "ann", "xml"})
# Numbers and instances of a segmentation, in the folders of the VOC devkit.
SEGMENTATIONS = ("segmentationclass", "segmentationobject")
ROWS = ("image", "label", "kind", "shape", "area_px", "size")

Read = tuple[Catalog, pd.DataFrame, bool]


class SetFiles:
    """The names in a folder and below it: `photographs`, masks, and files that may annotate."""

    def __init__(self, root: Path):
        self.root = root
        suffixes = IMAGE_SUFFIXES | OTHER_SUFFIXES
        self.folders = scan(
            root, lambda name: name[:1] != "." and PurePosixPath(name).suffix.lower() in suffixes
        )
        self.images: Folders = {
            folder: [name for name in names if is_image_name(name)]
            for folder, names in self.folders.items()
        }

    def of(self, *suffixes: str) -> list[PurePosixPath]:
        """The files with one of `suffixes`, sorted, those nearest to the root first."""
        found = [
            folder / name
            for folder, names in self.folders.items()
            for name in names
            if PurePosixPath(name).suffix.lower() in suffixes
        ]
        return sorted(found, key=lambda file: (len(file.parts), file))

    def apart(self) -> tuple[list[PurePosixPath], dict[str, str], list[LeftOut]]:
        """The photographs, the masks of some of them, and masks of none."""
        images = {
            folder: names
            for folder, names in self.images.items()
            if not any(part.casefold().startswith(SEGMENTATIONS) for part in folder.parts)
        }
        layout = split_masks(self.root, images)
        strays = [
            LeftOut(name, "a mask of no photograph that is there", "Put the photograph there.")
            for name in layout.strays
        ]
        found = [folder / name for folder, names in layout.photographs.items() for name in names]
        return sorted(found), layout.masks, strays


class Pairing:
    """Photographs by their names without suffix, to find those that an annotation file is of."""

    def __init__(self, root: Path, photographs: Iterable[PurePosixPath]):
        self.root = root
        self.found = FoundImages(root, files=[str(file) for file in photographs])
        self._by_stem: dict[str, list[PurePosixPath]] = {}
        for file in map(PurePosixPath, self.found.files):
            self._by_stem.setdefault(plain(file.stem), []).append(file)

    def image_of(self, annotation: PurePosixPath) -> PurePosixPath | None:
        """The image beside the file or, where that lies in a folder of annotations, in the folders
        beside that one: of the same folders within it, and of no other split. None where there is
        none. Raises CatalogError where two fit, naming both."""
        named = self._by_stem.get(plain(annotation.stem), [])
        fits = [file for file in named if file.parent == annotation.parent]
        if not fits:
            top, within = _divided(annotation.parent)
            near = [file for file in named if top in file.parents]
            split = split_of(annotation.parts[:-1])
            same = [file for file in near if split_of(file.parts[:-1]) in ("", split)]
            count = len(within)
            fits = [f for f in near if count and list(map(plain, f.parts[:-1][-count:])) == within]
            fits = fits or (near if not split else same)
            if len(fits) > 1:
                usual = [f for f in fits if f.relative_to(top).parts[0].casefold() in IMAGE_FOLDERS]
                fits = usual if len(usual) == 1 else fits
        if len(fits) > 1:
            raise CatalogError(
                f"{self.root}: {annotation} may belong to {fits[0]} or {fits[1]}. Give them "
                "different names, or keep each with its annotations in a folder of its own."
            )
        return fits[0] if fits else None


def _divided(folder: PurePosixPath) -> tuple[PurePosixPath, list[str]]:
    """Where the folder of annotations lies that `folder` is or is in, and the parts within it."""
    for number in reversed(range(len(folder.parts))):
        if folder.parts[number].casefold() in ANNOTATION_FOLDERS:
            within = folder.parts[number + 1 :]
            return PurePosixPath(*folder.parts[:number]), list(map(plain, within))
    return folder.parent, []


@dataclass
class Marked:
    """What one annotation file marks: places of classes, and classes without a place."""

    places: list[tuple[str, Shape]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)

    def spoiled(self, label: str, reason: str) -> None:
        """Take in a place of `label` that cannot be told; reason: what is wrong, and the remedy."""
        self.places.append((label, Shape(UNREADABLE, reason, NAN, None)))


class Marks:
    """The classes of each image and a row an annotation, as an ImageSet keeps them."""

    def __init__(self) -> None:
        self._labels: dict[Hashable, set[str]] = {}
        self._rows: list[tuple[Hashable, str, Shape]] = []

    def add(self, image: Hashable, marked: Marked) -> None:
        """Take in what is marked on `image`, which may come again."""
        shown = self._labels.setdefault(image, set())
        shown |= marked.labels | {label for label, _ in marked.places}
        self._rows += [(image, label, shape) for label, shape in marked.places]

    def names(self) -> set[str]:
        """All classes."""
        return set().union(*self._labels.values())

    def label(self, image: Hashable) -> str:
        """The classes of an image as one text."""
        return SEPARATOR.join(sorted(self._labels.get(image, ())))

    def table(self, order: Iterable[Hashable]) -> pd.DataFrame:
        """The rows, in the order they came, of the images in the order of the catalog."""
        number = {image: i for i, image in enumerate(order)}
        rows = [
            (number[image], label, shape.kind, shape.shape, shape.area_px, shape.size)
            for image, label, shape in self._rows
        ]
        return pd.DataFrame(rows, columns=list(ROWS))


@dataclass
class AnnotatedSet:
    """A set as its reader collects it. pairs: the image of each annotation file, None where it is
    not there; photographs: all images of the set; splits: of images whose folders do not tell."""

    root: Path
    layout: str
    pairs: dict[PurePosixPath, PurePosixPath | None]
    photographs: list[PurePosixPath]
    masks: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def read(self, marked_by: Callable[[PurePosixPath], Marked]) -> Read:
        """The catalog, its annotations, and whether any image is there.

        marked_by: reads one annotation file; the image of one for which it raises CatalogError is
        left out and named. An image without annotations is good, but for one in a folder that is
        called as a class. Raises CatalogError where two files are of one image, naming both, and
        where no image is left.
        """
        self._once()
        has_images = bool(self.photographs)
        marks, spoiled, empty = Marks(), set(), set()
        for file, image in self.pairs.items():
            if image is None and has_images:
                reason = "annotations of an image that is not there"
                self.left_out.append(LeftOut(str(file), reason, "Put the image there."))
                continue
            image = image or file.with_suffix("")
            try:
                marked = marked_by(file)
            except CatalogError as error:
                reason, _, remedy = str(error).partition(". ")
                self.left_out.append(LeftOut(str(image), reason, remedy or "Export it again."))
                spoiled.add(image)
                continue
            marks.add(image, marked)
            if not marked.places and not marked.labels:
                empty.add(image)
        annotated = {image or file.with_suffix("") for file, image in self.pairs.items()}
        images = sorted({*self.photographs, *(annotated if not has_images else ())} - spoiled)
        bare = [image for image in images if image not in annotated]
        kept = self._labelled(images, bare, marks)
        if has_images and (good := [str(i) for i in kept if (i in empty or i in bare)
                                    and not kept[i]]):  # fmt: skip
            self.warnings.append(
                f"{len(good)} images without annotations count as good ({examples(good)})."
            )
        if not has_images:
            self.warnings.append(
                "none of the images is there: charts that need pixels are left out. Looked for "
                f"{examples(list(map(str, images)), 1)} in {self.root} and all folders below."
            )
        if not kept:
            first = self.left_out[0] if self.left_out else f"{self.root}: no image in it."
            raise CatalogError(f"{self.root}: no image that can be used. The first: {first}")
        columns = {
            "path": [str(image) for image in kept],
            "label": list(kept.values()),
            "mask": [self.masks.get(str(image), "") if image in bare else "" for image in kept],
            "split": [self.splits.get(str(i)) or split_of(i.parts[:-1]) for i in kept],
        }
        catalog = checked_catalog(self.root, columns, self.layout, self.warnings)
        catalog = replace(catalog, left_out=tuple(self.left_out))
        return catalog, marks.table(kept), has_images

    def _once(self) -> None:
        """Refuse two annotation files of one image."""
        first: dict[PurePosixPath, PurePosixPath] = {}
        for file, image in self.pairs.items():
            if image is not None and first.setdefault(image, file) != file:
                raise CatalogError(
                    f"{self.root}: {image} has two annotation files, {first[image]} and {file}. "
                    "Keep one of them there."
                )

    def _labelled(
        self, images: list[PurePosixPath], bare: list[PurePosixPath], marks: Marks
    ) -> dict[PurePosixPath, str]:
        """The label of each image. One of the images `bare`, which have no annotation file, is of
        the class that its folder is called by; in a folder that nobody annotated and that is
        called as nothing that is known, it may show anything, and is left out."""
        names = {plain(name): name for name in marks.names()}
        beside = {file.parent for file, image in self.pairs.items()
                  if image is not None and image.parent == file.parent}  # fmt: skip
        without = set(bare)
        found: dict[PurePosixPath, str] = {}
        for image in images:
            folder = image.parent.name
            if image not in without:
                found[image] = marks.label(image)
            elif plain(folder) in names:
                found[image] = names[plain(folder)]
            elif beside and image.parent not in beside and not _says_nothing(image.parent):
                reason = f"nobody annotated it, and what its folder {folder!r} means is not known"
                remedy = "Annotate it, or put it into a folder called good."
                self.left_out.append(LeftOut(str(image), reason, remedy))
            else:
                found[image] = ""
        return found


def _says_nothing(folder: PurePosixPath) -> bool:
    """Whether a folder is called as those of good parts or of all images are."""
    name = folder.name
    known = name.casefold() in IMAGE_FOLDERS or bool(split_of([name])) or not name
    return known or is_good_name(name)


def class_name(name: object, where: str) -> str:
    """`name` as that of a class; raises CatalogError, which begins with `where`."""
    text = name.strip() if isinstance(name, str) else ""
    if not text or SEPARATOR in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise CatalogError(
            f"{where}: it is called {name!r}, which is no name of a class. Give it one without "
            f"'{SEPARATOR}'."
        )
    return text
