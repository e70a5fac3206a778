"""Reader of MVTec LOCO AD: split folders, and for each anomalous image a folder of masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.readers.annotated import Marked, Marks, Read, class_name
from defectvision.data.readers.coco_shapes import NAN, Shape
from defectvision.data.readers.found_images import plain
from defectvision.data.readers.index import checked_catalog, examples
from defectvision.data.readers.listing import SPLIT_FOLDERS
from defectvision.data.readers.set_files import SetFiles

MASKS = "ground_truth"


def is_loco(files: SetFiles) -> bool:
    """Whether `ground_truth/<class>/` holds folders of masks beside split folders."""
    return any(_is_split(folder, top) for top in _tops(files) for folder in files.images)


def read_loco(files: SetFiles) -> Read:
    """The catalog, its annotations, and True: the masks of an image are rows of kind `file`, which
    together mark it.

    The folder within that of the split is the class. Raises CatalogError for the folder above
    several sets and for masks of two images.
    """
    tops = _tops(files)
    if len(tops) > 1:
        raise CatalogError(
            f"{files.root}: {len(tops)} sets ({examples([str(top) for top in tops])}). Open one."
        )
    (top,) = tops
    labels: dict[PurePosixPath, str] = {}
    masks: dict[PurePosixPath, list[PurePosixPath]] = {}
    others: list[str] = []
    for folder, names in files.images.items():
        parts = folder.relative_to(top).parts if top in (folder, *folder.parents) else ()
        if parts and plain(parts[0]) == MASKS:
            for name in names:
                place = folder if len(parts) > 2 else (folder / name).with_suffix("")
                masks.setdefault(place, []).append(folder / name)
        elif len(parts) == 2 and plain(parts[0]) in SPLIT_FOLDERS:
            label = class_name(parts[1], f"{files.root / folder}")
            labels |= {folder / name: label for name in names}
        else:
            others += [str(folder / name) for name in names]
    if not labels:
        raise CatalogError(f"{files.root}: no image in its split folders. Put them there.")
    named: dict[tuple[str, str], list[PurePosixPath]] = {}
    for image in labels:
        named.setdefault((plain(image.parent.name), plain(image.stem)), []).append(image)
    marks = Marks()
    left_out = []
    for place, found in masks.items():
        fits = named.get((plain(place.parent.name), plain(place.name)), [])
        if len(fits) > 1:
            raise CatalogError(
                f"{files.root}: the masks of {place} may belong to {fits[0]} or {fits[1]}. Give "
                "them different names."
            )
        if not fits:
            reason = f"{len(found)} masks of no photograph that is there"
            left_out.append(LeftOut(str(place), reason, "Put the photograph there."))
            continue
        label = labels[fits[0]]
        rows = [(label, Shape("file", str(mask), NAN, None)) for mask in sorted(found)]
        marks.add(fits[0], Marked(rows))
    images = sorted(labels)
    warnings = []
    if others:
        warnings.append(
            f"{len(others)} images beside the class folders ({examples(others)}) are left out."
        )
    columns = {
        "path": [str(image) for image in images],
        "label": [labels[image] for image in images],
        "split": [SPLIT_FOLDERS[plain(image.relative_to(top).parts[0])] for image in images],
    }
    catalog = checked_catalog(files.root, columns, "mvtec loco", warnings)
    return replace(catalog, left_out=tuple(left_out)), marks.table(images), True


def _tops(files: SetFiles) -> list[PurePosixPath]:
    """The folders that hold a `ground_truth` with folders of masks two deep."""
    return sorted(
        {
            folder.parents[2]
            for folder, names in files.images.items()
            if names and len(folder.parts) > 2 and plain(folder.parts[-3]) == MASKS
        }
    )


def _is_split(folder: PurePosixPath, top: PurePosixPath) -> bool:
    return folder.parent == top and plain(folder.name) in SPLIT_FOLDERS
