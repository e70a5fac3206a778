"""What the annotation files of a set mark together, where each image has one of its own (YOLO,
LabelMe, VOC)."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from defectvision.bundle.labels import SEPARATOR, is_good_name, label_names
from defectvision.data.catalog import Catalog, CatalogError, LeftOut
from defectvision.data.masks import UNREADABLE
from defectvision.data.readers.coco_shapes import NAN, Shape
from defectvision.data.readers.found_images import plain
from defectvision.data.readers.index import checked_catalog, examples
from defectvision.data.readers.listing import split_of
from defectvision.data.readers.set_files import IMAGE_FOLDERS, Pairing

ROWS = ("image", "label", "kind", "shape", "area_px", "size")

Read = tuple[Catalog, pd.DataFrame, bool]


@dataclass
class Marked:
    """What one annotation file marks: places of classes, and classes without a place."""

    places: list[tuple[str, Shape]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)

    def place(self, label: str, told: Callable[[], Shape]) -> None:
        """Take in a place of `label` as `told` has it; one that cannot be told, for which it raises
        CatalogError, with that reason."""
        try:
            shape = told()
        except CatalogError as error:
            shape = Shape(UNREADABLE, str(error), NAN, None)
        self.places.append((label, shape))


@dataclass(frozen=True)
class Told:
    """What an annotation file holds that names its image: that name, and what is marked or what is
    wrong. certain: whether it annotates, though its image be nowhere."""

    image: str
    marked: Marked | CatalogError
    certain: bool = True

    def read(self) -> Marked:
        """What is marked; raises what is wrong."""
        if isinstance(self.marked, CatalogError):
            raise self.marked
        return self.marked


def pairs_of(
    pairing: Pairing, told: dict[PurePosixPath, Told]
) -> dict[PurePosixPath, PurePosixPath | None]:
    """The image of each file. One that is perhaps no annotation counts where an image has no other.

    Raises what `Pairing.image_told` does.
    """
    pairs = {file: pairing.image_told(file, one.image) for file, one in told.items()}
    sure = {image for file, image in pairs.items() if told[file].certain}
    return {
        file: image
        for file, image in pairs.items()
        if told[file].certain or (image is not None and image not in sure)
    }


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
        bare = {image for image in images if image not in annotated}
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

    def split(self, told: dict[str, list[str]]) -> None:
        """Put the images of each split into it, those of several into the first."""
        for split, images in told.items():
            doubtful = [i for i in images if self.splits.setdefault(i, split) != split]
            if doubtful:
                self.warnings.append(
                    f"{len(doubtful)} images are named for {split} and for "
                    f"{self.splits[doubtful[0]]} ({examples(doubtful)}); they count as the second."
                )

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
        self, images: list[PurePosixPath], bare: set[PurePosixPath], marks: Marks
    ) -> dict[PurePosixPath, str]:
        """The label of each image. One of the images `bare`, which have no annotation file, is of
        the class that its folder is called by, where folders are classes; in a folder that nobody
        annotated and that is called as nothing that is known, it may show anything, and is left
        out."""
        names = {plain(name): name for name in marks.names()}
        beside = {file.parent for file, image in self.pairs.items()
                  if image is not None and image.parent == file.parent}  # fmt: skip
        found = {image: marks.label(image) for image in images if image not in bare}
        by_folder = any(
            plain(image.parent.name) in map(plain, label_names(label))
            for image, label in found.items()
        )
        for image in sorted(bare):
            folder = image.parent.name
            if plain(folder) in names:
                found[image] = names[plain(folder)]
            elif _says_nothing(image.parent) or image.parent in beside:
                found[image] = ""
            elif by_folder:
                found[image] = class_name(unicodedata.normalize("NFC", folder), str(image.parent))
            elif beside:
                reason = f"nobody annotated it, and what its folder {folder!r} means is not known"
                remedy = "Annotate it, or put it into a folder called good."
                self.left_out.append(LeftOut(str(image), reason, remedy))
            else:
                found[image] = ""
        return {image: found[image] for image in images if image in found}


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
