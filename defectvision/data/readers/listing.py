"""What lies in a folder and below it, by names alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from defectvision.data.catalog import CatalogError
from defectvision.data.image_names import is_image_name
from defectvision.data.readers.found_images import walk

Folders = dict[PurePosixPath, list[str]]  # file names by folder, relative to the opened one

SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
YEAR = "0123456789"  # behind the split in COCO's folders, train2017 for example


def scan(root: Path, wanted: Callable[[str], bool] = is_image_name) -> Folders:
    """The names of the wanted files of every folder, hidden ones and links upwards aside.

    Raises CatalogError for a folder that cannot be read and a name that is no text.
    """

    def refuse(error: OSError) -> None:
        raise CatalogError(f"{error.filename}: cannot be read ({error.strerror}).") from error

    found: Folders = {}
    for folder, folders, files in walk(root, refuse):
        for name in (*folders, *files):
            if not _is_text(name):
                raise CatalogError(f"{root / folder}: the name {name!r} is not UTF-8. Rename it.")
        found[folder] = sorted(name for name in files if wanted(name))
    return found


def split_of(parts: Iterable[str]) -> str:
    """The split that the first of some folders is called by, '' where none is."""
    for part in parts:
        if split := SPLIT_FOLDERS.get(part.casefold().rstrip(YEAR)):
            return split
    return ""


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
