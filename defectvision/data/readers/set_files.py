"""The files of a set whose annotations lie beside or apart from their images, and which annotation
file belongs to which image."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from defectvision import roots
from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.image_names import IMAGE_SUFFIXES
from defectvision.data.readers.found_images import FoundImages, plain, relative_parts
from defectvision.data.readers.listing import (
    Folders,
    left_out_unnamed,
    left_out_unread,
    scan,
    split_of,
    unnamed_error,
)
from defectvision.data.readers.mask_layout import split_masks

OTHER_SUFFIXES = frozenset({".json", ".xml", ".txt", ".yaml", ".yml", ".names", ".data"})
IMAGE_FOLDERS = frozenset({"images", "jpegimages", "imgs", "img", "image", "data"})
# Numbers and instances of a segmentation, in the folders of the VOC devkit.
SEGMENTATIONS = ("segmentationclass", "segmentationobject")
ANNOTATION_FOLDERS = frozenset(
    {"labels", "label", "annotations", "annotation", "ann", "xml", "segmentationclass",
     "segmentationclasspng"}
)  # fmt: skip


class SetFiles:
    """The names in a folder and below it: `photographs`, masks, and files that may annotate."""

    def __init__(self, root: Path):
        self.root = root
        suffixes = IMAGE_SUFFIXES | OTHER_SUFFIXES
        self.unnamed: list[PurePosixPath] = []
        self.unread: list[PurePosixPath] = []
        self.folders = scan(
            root,
            lambda name: name[:1] != "." and _suffix(name) in suffixes,
            self.unnamed,
            self.unread,
        )
        self.images: Folders = {}
        self._others: dict[str, list[PurePosixPath]] = {}
        for folder, names in self.folders.items():
            self.images[folder] = [name for name in names if _suffix(name) in IMAGE_SUFFIXES]
            for name in names:
                if (suffix := _suffix(name)) in OTHER_SUFFIXES:
                    self._others.setdefault(suffix, []).append(folder / name)

    def of(self, *suffixes: str) -> list[PurePosixPath]:
        """The files with one of `suffixes`, sorted, those nearest to the root first."""
        found = [file for suffix in suffixes for file in self._others.get(suffix, ())]
        return sorted(found, key=lambda file: (len(file.parts), file))

    def first(self, suffix: str, count: int) -> list[PurePosixPath]:
        """Some files with `suffix`, of those with the name of an image before others."""
        found = self.of(suffix)
        if len(found) > count:
            stems = {name.rpartition(".")[0] for names in self.images.values() for name in names}
            found.sort(key=lambda file: file.stem not in stems)
        return found[:count]

    def left_out(self) -> list[LeftOut]:
        """Images whose names are no text, and pictures of kinds that are not read. Raises
        CatalogError for an annotation or a mask whose name is no text: without it its image would
        count as a good one."""
        for file in self.unnamed:
            beside = {part.casefold() for part in file.parts[:-1]}
            apart = beside & ANNOTATION_FOLDERS or any(p.startswith(SEGMENTATIONS) for p in beside)
            if apart or _suffix(file.name) not in IMAGE_SUFFIXES:
                raise unnamed_error(self.root, file)
        return [*left_out_unnamed(self.unnamed), *left_out_unread(self.unread)]

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
        # Where each part has a folder of its own, all images may have one name: they are found by
        # their folder or its name too, and by the name with its suffix.
        self._by_stem: dict[object, list[PurePosixPath]] = {}
        self._by_name: dict[object, list[PurePosixPath]] = {}
        self._folders = {PurePosixPath(file).parent for file in self.found.files}
        for file in map(PurePosixPath, self.found.files):
            stem, name = plain(file.stem), plain(file.name)
            by_stem: tuple[object, ...] = (
                stem, (plain(file.parent.name), stem), (file.parent, stem)
            )  # fmt: skip
            for key in by_stem:
                self._by_stem.setdefault(key, []).append(file)
            by_name: tuple[object, ...] = ((file.parent, name), tuple(map(plain, file.parts)))
            for key in by_name:
                self._by_name.setdefault(key, []).append(file)

    def image_of(self, annotation: PurePosixPath) -> PurePosixPath | None:
        """The image beside the file or, where that lies apart from the images, in the folders
        beside its folder of annotations: of the same folders within it, and of no other split.
        None where there is none. Raises CatalogError where two fit, naming both."""
        stem = plain(annotation.stem)
        fits = self._by_stem.get((annotation.parent, stem), [])
        if not fits and not self._is_beside(annotation):
            top, within = _divided(annotation.parent)
            splits = {"", split} if (split := split_of(annotation.parts[:-1])) else None

            def near(key: object) -> list[PurePosixPath]:
                return [
                    file
                    for file in self._by_stem.get(key, ())
                    if top in file.parents and (not splits or split_of(file.parts[:-1]) in splits)
                ]

            if within:
                fits = [file for file in near((within[-1], stem))
                        if list(map(plain, file.parts[:-1][-len(within) :])) == within]  # fmt: skip
            if not fits:
                fits = [file for file in near(stem)
                        if not within or len(file.parent.relative_to(top).parts) < 2]  # fmt: skip
            if len(fits) > 1:
                usual = [f for f in fits if f.relative_to(top).parts[0].casefold() in IMAGE_FOLDERS]
                fits = usual if len(usual) == 1 else fits
        if len(fits) > 1:
            raise CatalogError(
                f"{self.root}: {annotation} may belong to {fits[0]} or {fits[1]}. Give them "
                "different names, or keep each with its annotations in a folder of its own."
            )
        return fits[0] if fits else None

    def image_told(self, annotation: PurePosixPath, said: str) -> PurePosixPath | None:
        """The image that a file says it is of, by a name of another machine perhaps, or `image_of`
        where that is not there. Raises CatalogError where both are there and differ, and where two
        fit, naming both."""
        parts = relative_parts(said)
        doubt = own = None
        try:
            own = self.image_of(annotation)
        except CatalogError as error:
            doubt = error
        if not parts:
            if doubt:
                raise doubt
            return own
        place = PurePosixPath(posixpath.normpath(str(annotation.parent.joinpath(*parts))))
        there = self._by_name.get(tuple(map(plain, place.parts)), [])
        usual = dict.fromkeys((annotation.parent, own.parent if own else annotation.parent))
        there = there or [
            file for folder in usual for file in self._by_name.get((folder, plain(parts[-1])), ())
        ]
        if doubt:
            there = there or [PurePosixPath(file) for file in self.found.named(parts[-1])]
            if len(there) != 1:
                raise doubt
        other = there[0] if len(there) == 1 else None
        if own is not None and other is not None and plain(own.stem) != plain(other.stem):
            raise CatalogError(
                f"{self.root}: {annotation} has the name of {own} and says that it is of {other}. "
                "Give it the name of its image, or correct what it says."
            )
        if own is None and other is None and not self._is_beside(annotation):
            found = self.found.find(said)
            return PurePosixPath(found) if found else None
        return other or own

    def _is_beside(self, annotation: PurePosixPath) -> bool:
        """Whether images lie beside it, so that it is of none of another folder."""
        parts = (part.casefold() for part in annotation.parts[:-1])
        return annotation.parent in self._folders and ANNOTATION_FOLDERS.isdisjoint(parts)


def _suffix(name: str) -> str:
    return f".{name.rpartition('.')[2].lower()}"


def _divided(folder: PurePosixPath) -> tuple[PurePosixPath, list[str]]:
    """Where the folder of annotations lies that `folder` is or is in, and the parts within it."""
    for number in reversed(range(len(folder.parts))):
        if folder.parts[number].casefold() in ANNOTATION_FOLDERS:
            within = folder.parts[number + 1 :]
            return PurePosixPath(*folder.parts[:number]), list(map(plain, within))
    return folder.parent, []


def read_bytes(file: Path, limit: int, name: object) -> bytes:
    """The content of a file that is called `name` in messages. Raises CatalogError where it cannot
    be read or is larger than `limit` bytes."""
    try:
        return roots.content(file, limit)
    except OSError as error:
        remedy = "Split it." if error.errno == errno.EFBIG else "Check the file."
        raise CatalogError(f"{name}: cannot be read ({error.strerror}). {remedy}") from error


def read_text(file: Path, limit: int, name: object) -> str:
    """A text file of UTF-8; raises as `read_bytes`, and CatalogError for another encoding."""
    try:
        return read_bytes(file, limit, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CatalogError(f"{name}: not UTF-8. Save it as UTF-8.") from error
