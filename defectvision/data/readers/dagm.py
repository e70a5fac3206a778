"""Reader of DAGM 2007: textures with one kind of defect each, `Class1/Train/Label/Labels.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pandas as pd

from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.readers.annotated import Marks, Read, class_name
from defectvision.data.readers.found_images import FoundImages, plain
from defectvision.data.readers.index import checked_catalog, examples
from defectvision.data.readers.listing import split_of
from defectvision.data.readers.set_files import SetFiles, read_text

LIST, LIST_FOLDER = "labels.txt", "label"
LARGEST_LIST = 16 * 1024 * 1024
NO_MASK = "0"
MASK_STEM = re.compile(r"(.+)_label", re.IGNORECASE)
COLUMNS = "number, 0 or 1, image, 0, mask or 0"


def is_dagm(files: SetFiles) -> bool:
    """Whether one of the lists is there, by its place."""
    return bool(_lists(files))


@dataclass
class _Rows:
    path: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    mask: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def read_dagm(files: SetFiles) -> Read:
    """The catalog, no annotations, and True: the masks are files of the catalog.

    A defective image is of the class that its texture's folder is called by. What a list and the
    files beside it say differently is left out and named. Raises CatalogError for a list that
    cannot be read or names an image or a mask twice.
    """
    rows = _Rows()
    lists = _lists(files)
    for file in lists:
        _read_list(files, file, rows)
    folders = {file.parent.parent for file in lists} | {file.parent for file in lists}
    others = [
        str(folder / name)
        for folder, names in files.images.items()
        if folder not in folders
        for name in names
    ]
    if not rows.path:
        first = rows.left_out[0] if rows.left_out else f"{lists[0]} names none."
        raise CatalogError(f"{files.root}: no image that can be used. The first: {first}")
    warnings = []
    if others:
        warnings.append(f"{len(others)} images beside the lists ({examples(others)}) are left out.")
    columns = {"path": rows.path, "label": rows.label, "mask": rows.mask, "split": rows.split}
    catalog = checked_catalog(files.root, columns, "dagm", warnings)
    empty: pd.DataFrame = Marks().table(())
    return replace(catalog, left_out=tuple(rows.left_out)), empty, True


def _lists(files: SetFiles) -> list[PurePosixPath]:
    return [
        file
        for file in files.of(".txt")
        if plain(file.name) == LIST
        and plain(file.parent.name) == LIST_FOLDER
        and split_of((files.root.resolve() / file).parent.parent.parts[-1:])
    ]


def _read_list(files: SetFiles, file: PurePosixPath, rows: _Rows) -> None:
    folder = file.parent.parent
    whole = files.root.resolve() / folder
    label, split = class_name(whole.parent.name, str(file)), split_of([whole.name])
    images = FoundImages(whole, files=files.images[folder])
    masks = FoundImages(whole, files=files.images[file.parent])
    matches = {name: MASK_STEM.fullmatch(PurePosixPath(name).stem) for name in masks.files}
    of_image = {plain(match[1]): name for name, match in matches.items() if match}
    used: dict[str, str] = {}  # of images and masks, the line that names them
    for number, line in enumerate(read_text(files.root / file, LARGEST_LIST, file).splitlines(), 1):
        cells = line.split()
        if not cells or (number == 1 and len(cells) == 1):  # how many lists there are
            continue
        where = f"{file}, line {number}"
        image = images.find(cells[2]) if len(cells) > 2 else None
        mask = masks.find(cells[4]) if len(cells) > 4 and cells[4] != NO_MASK else None
        for one in (image and str(folder / image), mask and str(file.parent / mask)):
            if one and used.setdefault(one, where) != where:
                raise CatalogError(f"{where}: {one} stands already in {used[one]}. Keep one row.")
        if wrong := _wrong(cells, image, mask):
            name = str(folder / image) if image else where
            rows.left_out.append(
                LeftOut(name, f"{where}: {wrong}", f"A row is {COLUMNS}, divided by tabs.")
            )
        elif mask is None and (own := of_image.get(plain(PurePosixPath(str(image)).stem))):
            reason = f"{where}: it is good, and {file.parent / own} is there"
            rows.left_out.append(LeftOut(str(folder / str(image)), reason, "Correct the row."))
        else:
            rows.path.append(str(folder / str(image)))
            rows.label.append(label if mask else "")
            rows.mask.append(str(file.parent / mask) if mask else "")
            rows.split.append(split)
    there = [str(folder / name) for name in images.files]
    there += [str(file.parent / name) for name in masks.files]
    for name in there:
        if name not in used:
            reason, remedy = f"{file} does not name it", "Add its row, or take it away."
            rows.left_out.append(LeftOut(name, reason, remedy))


def _wrong(cells: list[str], image: str | None, mask: str | None) -> str:
    """What is wrong with a row, '' where nothing is."""
    if len(cells) < 5 or cells[1] not in ("0", "1"):
        return f"{' '.join(cells[:5])!r} is no row"
    if image is None:
        return f"the image {cells[2]!r} is not there"
    if cells[1] == "1" and mask is None:
        return f"it is defective, and its mask {cells[4]!r} is not there"
    if cells[1] == "0" and cells[4] != NO_MASK:
        return f"it is good, and has the mask {cells[4]!r}"
    return ""
