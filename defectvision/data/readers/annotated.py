"""What the annotation files of a set mark together, where each image has one of its own (YOLO,
LabelMe, VOC)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from defectvision.bundle.labels import SEPARATOR, is_good_name, label_names, spelled
from defectvision.data.catalog import Catalog, CatalogError, LeftOut
from defectvision.data.masks import UNREADABLE
from defectvision.data.readers.coco_shapes import NAN, Shape
from defectvision.data.readers.found_images import plain
from defectvision.data.readers.good_alone import says_defective
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
    not there; photographs: all images of the set; splits: of images whose folders do not tell;
    classes: those that the set names, marked or not."""

    root: Path
    layout: str
    pairs: dict[PurePosixPath, PurePosixPath | None]
    photographs: list[PurePosixPath]
    masks: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    classes: Collection[str] = ()

    def read(self, marked_by: Callable[[PurePosixPath], Marked]) -> Read:
        """The catalog, its annotations, and whether any image is there.

        marked_by: reads one annotation file; the image of one for which it raises CatalogError is
        left out and named. An image without annotations is good, but for one in a folder that is
        called as a class, see `folder_labels`. Raises CatalogError where two files are of one
        image, naming both, and where no image is left.
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
        if has_images:
            self.warnings += good_unmarked(i for i in kept if (i in empty or i in bare)
                                           and not kept[i])  # fmt: skip
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

    def _labelled(
        self, images: list[PurePosixPath], bare: set[PurePosixPath], marks: Marks
    ) -> dict[PurePosixPath, str]:
        """The label of each image. One of the images `bare`, which have no annotation file, in a
        folder that nobody annotated and that is called as nothing that is known, is left out."""
        found = {image: marks.label(image) for image in images}
        marked = {image: label for image, label in found.items() if label}
        beside = {file.parent for file, image in self.pairs.items()
                  if image is not None and image.parent == file.parent}  # fmt: skip
        classes = {*self.classes, *marks.names()}
        unmarked = found.keys() - marked
        told = folder_labels(marked, unmarked, classes, unmarked - bare, beside)
        for image, label in told.items():
            if label is not None:
                found[image] = label
            else:
                del found[image]
                self.left_out.append(unknown(image))
        return found

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


def folder_labels(
    marked: Mapping[PurePosixPath, str],
    unmarked: Iterable[PurePosixPath],
    classes: Iterable[str],
    empty: Collection[PurePosixPath] = (),
    beside: Collection[PurePosixPath] = (),
    *,
    all_named: bool = False,
) -> dict[PurePosixPath, str | None]:
    """The labels of the images `unmarked`, on which nothing is marked, '' for a good one; those of
    `marked` images are given, and so is which unmarked ones have an annotation, an `empty` one.

    An image in a folder that is called as a class is of that class: annotations are written for
    images that nobody has looked at, too. Where the folders of marked images are called by their
    labels, any folder of others names a class, but for those of good parts and of all images; or
    may show anything, where the set names all of its classes (`all_named`). None where the image
    may show anything: there; where its folder's name says that it is not good, unless all images
    of the set lie in it, marked ones among them; and where images lie `beside` their annotations,
    in these folders, and nobody annotated one of its folder.
    """
    names = {plain(name): name for name in classes}
    unmarked = sorted(unmarked)
    told = {image.parent for image, label in marked.items()
            if plain(image.parent.name) in map(plain, label_names(label))}  # fmt: skip
    otherwise = {image.parent for image in marked} - told
    of_all = _above_all([*marked, *unmarked]) if marked else set()
    found: dict[PurePosixPath, str | None] = {}
    for image in unmarked:
        folder = image.parent
        if (label := _called(folder, of_all, names)) is not None:
            found[image] = label
        elif _of_all(folder.name):
            found[image] = ""
        elif told and folder not in otherwise and folder not in beside and image not in empty:
            found[image] = None if all_named else class_name(folder.name, str(folder))
        elif says_defective(folder.name) and folder not in of_all:
            found[image] = None
        else:
            nobody = image not in empty and beside and folder not in beside
            found[image] = None if nobody else ""
    return found


def unknown(image: PurePosixPath) -> LeftOut:
    """What to say of an image for which `folder_labels` has None."""
    name = image.parent.name
    reason = f"nobody annotated it, and what its folder {name!r} means is not known"
    if says_defective(name):
        reason = f"nothing is marked on it, and its folder {name!r} says that it is not good"
    return LeftOut(str(image), reason, "Annotate it, or put it into a folder called good.")


def good_unmarked(images: Iterable[PurePosixPath]) -> list[str]:
    """What to say of images that count as good since nothing is marked on them, if of any."""
    names = list(map(str, images))
    said = f"{len(names)} images without annotations count as good ({examples(names)})."
    return [said] if names else []


def _called(
    folder: PurePosixPath, of_all: Collection[PurePosixPath], names: Mapping[str, str]
) -> str | None:
    """The class, '' for the good one, that a folder is called as, or the nearest above it that does
    not hold all images; None where there is none. names: of classes by their plain spelling."""
    for place in (folder, *(above for above in folder.parents if above not in of_all)):
        if plain(place.name) in names and not _of_all(place.name):
            return names[plain(place.name)]
        if is_good_name(place.name):
            return ""
    return None


def _above_all(images: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """The folders that hold all of some images."""
    common = PurePosixPath(os.path.commonpath([image.parent for image in images]))
    return {common, *common.parents}


def _of_all(name: str) -> bool:
    """Whether a folder is called as those of all images, or of a split, are."""
    return not name or name.casefold() in IMAGE_FOLDERS or bool(split_of([name]))


def class_name(name: object, where: str) -> str:
    """`name` as that of a class; raises CatalogError, which begins with `where`."""
    text = spelled(name) if isinstance(name, str) else ""
    if not text or SEPARATOR in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise CatalogError(
            f"{where}: it is called {name!r}, which is no name of a class. Give it one without "
            f"'{SEPARATOR}'."
        )
    return text
