"""What lies in a folder and below it, by names alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.image_names import IMAGE_SUFFIXES, is_image_name, unread_pictures
from defectvision.data.readers.found_images import walk
from defectvision.words import as_text

Folders = dict[PurePosixPath, list[str]]  # file names by folder, relative to the opened one

SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "test_public": "test",
}
YEAR = "0123456789"  # behind the split in COCO's folders, train2017 for example


def scan(
    root: Path,
    wanted: Callable[[str], bool] = is_image_name,
    unnamed: list[PurePosixPath] | None = None,
    unread: list[PurePosixPath] | None = None,
) -> Folders:
    """The names of the wanted files of every folder, hidden ones and links upwards aside.

    unnamed: gets the wanted files whose names, or whose folders' names, are no text; unread: gets
    the pictures of kinds that are not read. Raises CatalogError for unnamed ones where that is
    None, and for a folder that cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise CatalogError(f"{error.filename}: cannot be read ({error.strerror}).") from error

    found: Folders = {}
    for folder, _, files in walk(root, refuse):
        names = sorted(name for name in files if wanted(name))
        if odd := [folder / name for name in names if not is_text(str(folder / name))]:
            if unnamed is None:
                raise unnamed_error(root, odd[0])
            unnamed += odd
        if unread is not None:
            unread += [folder / name for name in unread_pictures(files)]
        if is_text(str(folder)):
            found[folder] = [name for name in names if is_text(name)]
    return found


def unnamed_error(root: Path, file: PurePosixPath) -> CatalogError:
    """What to say where a file without a name that is text must be known."""
    return CatalogError(f"{root}: the name {str(file)!r} is not UTF-8. Rename it.")


def left_out_unnamed(files: Iterable[PurePosixPath]) -> list[LeftOut]:
    """Images that are left out for a name that is no text."""
    return [LeftOut(as_text(str(f)), "its name is not UTF-8", "Rename it.") for f in files]


def left_out_unread(files: Iterable[PurePosixPath]) -> list[LeftOut]:
    """Pictures that are left out for their kind."""
    reason = "a picture of a kind that is not read, or not under this name"
    remedy = f"Save it as {', '.join(sorted(IMAGE_SUFFIXES))}."
    return [LeftOut(as_text(str(f)), reason, remedy) for f in files]


def split_of(parts: Iterable[str]) -> str:
    """The split that the first of some folders is called by, '' where none is."""
    for part in parts:
        if split := SPLIT_FOLDERS.get(part.casefold().rstrip(YEAR)):
            return split
    return ""


def is_text(name: str) -> bool:
    """Whether a name is text: what is no UTF-8 no table can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
