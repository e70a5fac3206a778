"""Reader of COCO instance annotations: one JSON file beside or above its images."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from defectvision import roots
from defectvision.bundle.labels import SEPARATOR, spelled
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.readers.annotated import (
    Marked,
    Marks,
    folder_labels,
    good_unmarked,
    unknown,
)
from defectvision.data.readers.coco_shapes import is_number, read_shape
from defectvision.data.readers.found_images import FoundImages, relative_parts
from defectvision.data.readers.index import checked_catalog, examples

LARGEST_JSON = 512 * 1024 * 1024
HEAD = 4096
LABELME = re.compile(rb'"shapes"\s*:\s*\[')
LISTS = ("images", "categories", "annotations")


def find_coco(folder: Path) -> Path | None:
    """The one COCO file in `folder` or its `annotations/`, None where there is none."""
    files = sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")])
    found = [file for file in files if _looks_like_coco(file)]
    if len(found) > 1:
        raise CatalogError(
            f"{folder}: {len(found)} COCO files ({', '.join(f.name for f in found[:3])}). "
            "Open one of them by its path."
        )
    return found[0] if found else None


def read_coco(file: Path) -> tuple[Catalog, pd.DataFrame, bool]:
    """The catalog, its annotations, and whether any image is there.

    Segmentations are polygons or run lengths, compressed or not; an annotation with neither is
    its box. An image without annotation is good, but for one in a folder that is called as a
    class, see `folder_labels`. An annotation whose shape cannot be read stands
    in the table as UNREADABLE: its image shows the class, and has no mask. Raises CatalogError for
    a file that is not COCO, that points outside its folder, and for a name that fits two images.
    """
    content = _content(file)
    images = _images(file, content["images"])
    names = _categories(file, content["categories"])
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    there = FoundImages(root, file.parent)
    paths, missing = _paths(file, there, images)
    marks = _annotations(file, content["annotations"], images, names)
    if twice := _first_repeat(paths):
        one, other = (image.name for image, path in zip(images.values(), paths, strict=True)
                      if path == twice)  # fmt: skip
        raise CatalogError(
            f"{file}: two images have the same file name: {one!r} and {other!r} are both {twice}."
        )
    warnings = []
    if len(missing) == len(images):
        warnings.append(
            "none of the images is there: charts that need pixels are left out. Looked for "
            f"{missing[0]!r} in {root} and all folders below."
        )
    keys = {PurePosixPath(path): key for key, path in zip(images, paths, strict=True)}
    drawn = {image: marks.label(key) for image, key in keys.items()}
    marked = {image: label for image, label in drawn.items() if label}
    by_folder = folder_labels(marked, keys.keys() - marked, names.values(), all_named=True)
    left_out = [unknown(image) for image, label in by_folder.items() if label is None]
    told = {**by_folder, **marked}
    found = {image: label for image in keys if (label := told[image]) is not None}
    if not found:
        raise CatalogError(f"{file}: no image that can be used. The first: {left_out[0]}")
    if len(missing) < len(images):
        warnings += good_unmarked(image for image, label in found.items() if not label)
        if others := sorted(set(there.files) - set(paths)):
            warnings.append(
                f"{len(others)} images that {file.name} does not name ({examples(others)}) are "
                "left out."
            )
    columns = {"path": list(map(str, found)), "label": list(found.values())}
    catalog = checked_catalog(root, columns, "coco", warnings)
    table = marks.table([keys[image] for image in found])
    return replace(catalog, left_out=tuple(left_out)), table, len(missing) < len(images)


@dataclass(frozen=True)
class _Image:
    number: int
    name: str
    size: tuple[int, int] | None


def _content(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise CatalogError(f"{file}: larger than {LARGEST_JSON >> 20} MB. Split it.")
        content = json.loads(roots.content(file).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, CatalogError):
            raise
        raise CatalogError(f"{file}: cannot be read as JSON ({error}).") from error
    lists = {}
    for name in LISTS:
        entries = content.get(name, [] if name == "annotations" else None) if isinstance(
            content, dict
        ) else None  # fmt: skip
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            raise CatalogError(
                f"{file}: not COCO annotations (no list {name!r} of objects). They have images, "
                "categories and annotations; or put an index.csv beside the images."
            )
        lists[name] = entries
    return lists


def _key(file: Path, what: str, entry: dict[str, Any], name: str = "id") -> Hashable:
    key = entry.get(name)
    if isinstance(key, float) and key.is_integer():  # 1.0, as tables with gaps write 1
        key = int(key)
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise CatalogError(f"{file}: {what} has {name} {key!r}, which is no number and no text.")
    return key


def _text(file: Path, what: str, entry: dict[str, Any], name: str) -> str:
    text = entry.get(name)
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str) or not text.strip():
        raise CatalogError(f"{file}: {what} has no {name}. Export it again.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CatalogError(f"{file}: the {name} of {what} is no text ({text!r}).") from error
    return text.strip()


def _images(file: Path, entries: list[dict[str, Any]]) -> dict[Hashable, _Image]:
    images: dict[Hashable, _Image] = {}
    for number, entry in enumerate(entries):
        what = f"image {number + 1}"
        key, name = _key(file, what, entry), _text(file, what, entry, "file_name")
        if key in images:
            raise CatalogError(
                f"{file}: the images {images[key].name!r} and {name!r} have the same id {key!r}, "
                "so which one an annotation means is not known. Export it again."
            )
        images[key] = _Image(number, name, _size(entry))
    if not images:
        raise CatalogError(f"{file}: names no image.")
    return images


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) in px as the file tells, None where it does not."""
    height, width = entry.get("height"), entry.get("width")
    if is_number(height) and is_number(width) and height >= 1 and width >= 1:
        return int(height), int(width)
    return None


def _categories(file: Path, entries: list[dict[str, Any]]) -> dict[Hashable, str]:
    names: dict[Hashable, str] = {}
    for number, entry in enumerate(entries):
        what = f"category {number + 1}"
        key, name = _key(file, what, entry), spelled(_text(file, what, entry, "name"))
        if SEPARATOR in name:
            raise CatalogError(f"{file}: the category {name!r} contains '{SEPARATOR}'. Rename it.")
        if names.get(key, name) != name:
            raise CatalogError(
                f"{file}: the categories {names[key]!r} and {name!r} have the same id {key!r}. "
                "Export it again."
            )
        names[key] = name
    return names


def _paths(
    file: Path, there: FoundImages, images: dict[Hashable, _Image]
) -> tuple[list[str], list[str]]:
    """Where each image is below the root, and the names of those that are not there."""
    paths, missing = [], []
    for image in images.values():
        _check_inside(file, there.root, image.name)
        path = there.find(image.name)
        if path is None:
            missing.append(image.name)
            path = str(PurePosixPath(*(p for p in relative_parts(image.name) if p != "..")))
        paths.append(path)
    return paths, missing


def _check_inside(file: Path, root: Path, name: str) -> None:
    depth = len(file.parent.relative_to(root).parts)
    for part in relative_parts(name):
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise CatalogError(f"{file}: {name!r} is not a file inside the folder.")
    if relative_parts(name)[-1:] in ((), ("..",)) or "\0" in name:
        raise CatalogError(f"{file}: {name!r} is not a file inside the folder.")


def _annotations(
    file: Path,
    entries: list[dict[str, Any]],
    images: dict[Hashable, _Image],
    names: dict[Hashable, str],
) -> Marks:
    """What the annotations mark, by the id of the image."""
    marks = Marks()
    for position, entry in enumerate(entries, 1):
        what = f"annotation {entry.get('id', position)!r}"
        image, category = (
            _key(file, what, entry, "image_id"),
            _key(file, what, entry, "category_id"),
        )
        if image not in images or category not in names:
            unknown = "images" if image not in images else "categories"
            raise CatalogError(
                f"{file}: annotations of unknown {unknown}; the first is {what}, of image "
                f"{image!r} and category {category!r}. Export it again."
            )
        where = f"{file}, {what} ({images[image].name})"
        marked = Marked()
        marked.place(names[category], partial(read_shape, entry, images[image].size, where))
        marks.add(image, marked)
    return marks


def _first_repeat(paths: list[str]) -> str | None:
    seen: set[str] = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    return None


def _looks_like_coco(file: Path) -> bool:
    """Without parsing: an instances file begins with, or names, the three lists. The images that
    LabelMe writes into its files are not read."""
    try:
        if file.stat().st_size > LARGEST_JSON:
            return False
        with roots.opened(file) as stream:
            head = stream.read(HEAD)
            if LABELME.search(head) and b'"images"' not in head:
                return False
            text = head + stream.read()
    except OSError:
        return False
    return all(f'"{name}"'.encode() in text for name in ("images", "annotations", "categories"))
