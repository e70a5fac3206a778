"""Which image files of a folder are masks, and of which photograph.

MVTec AD and sets like it (BTAD, VisA) keep them in `ground_truth/<class>/` or `Masks/<class>/`,
others beside the photograph with `_mask`, `_label`, `_GT` or `_seg` behind its name.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from defectvision.data.catalog import CatalogError
from defectvision.data.readers.listing import Folders

MASK_FOLDERS = frozenset({"ground_truth", "groundtruth", "gt", "masks"})
MASK_STEM = re.compile(r"(.+)[_-](mask|masks|label|gt|seg|segmentation)", re.IGNORECASE)


@dataclass
class MaskLayout:
    """photographs: file names by folder; masks: mask path by photograph path; strays: files that
    are called as masks are and belong to no photograph, which are left out; beside: whether all
    masks lie beside their photographs."""

    photographs: Folders
    masks: dict[str, str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)
    beside: bool = True


def split_masks(root: Path, images: Folders) -> MaskLayout:
    """Tell masks from photographs by their names and places alone: an ending that half of its files
    or more have beside a photograph of the name before it is one of masks. Raises CatalogError
    where two masks fit one photograph or one mask several, naming both."""
    named: list[PurePosixPath] = []
    alone: list[PurePosixPath] = []
    apart: list[PurePosixPath] = []
    photographs: Folders = {folder: [] for folder in images}
    for folder, names in images.items():
        stems = {PurePosixPath(name).stem.casefold() for name in names}
        inside = _mask_folder(folder) is not None
        for name in names:
            match = MASK_STEM.fullmatch(PurePosixPath(name).stem)
            if inside:
                apart.append(folder / name)
            elif match and match[1].casefold() in stems:
                named.append(folder / name)
            elif match:
                alone.append(folder / name)
            else:
                photographs[folder].append(name)
    paired, unpaired = Counter(map(_ending, named)), Counter(map(_ending, alone))
    for file in alone:
        if paired[_ending(file)] >= unpaired[_ending(file)]:
            named.append(file)
        else:
            insort(photographs[file.parent], file.name)
    found = MaskLayout(photographs)
    by_stem: dict[str, list[PurePosixPath]] = {}
    by_place: dict[PurePosixPath, list[PurePosixPath]] = {}
    for folder, names in photographs.items():
        for name in names:
            stem = PurePosixPath(name).stem.casefold()
            by_stem.setdefault(stem, []).append(folder / name)
            by_place.setdefault(folder / stem, []).append(folder / name)
    for mask in named:
        _join(root, found, mask, by_place.get(mask.parent / photograph_stem(mask), []))
    fitting = {mask: _fits(mask, by_stem) for mask in apart}
    if not any(fitting.values()):
        for mask in apart:  # perhaps a class is called so
            photographs[mask.parent].append(mask.name)
        return found
    found.beside = False
    for mask, photographs_of in fitting.items():
        _join(root, found, mask, photographs_of)
    return found


def _mask_folder(folder: PurePosixPath) -> PurePosixPath | None:
    """The folder of masks that `folder` is or lies in."""
    above = (folder, *folder.parents)
    return next((f for f in above if f.name.casefold() in MASK_FOLDERS), None)


def _ending(mask: PurePosixPath) -> str:
    """What stands behind the photograph's name."""
    match = MASK_STEM.fullmatch(mask.stem)
    return match[2].casefold() if match else ""


def photograph_stem(mask: PurePosixPath) -> str:
    """The name, without suffix and in small letters, of the photograph that a mask is called by."""
    match = MASK_STEM.fullmatch(mask.stem)
    return (match[1] if match else mask.stem).casefold()


def _fits(mask: PurePosixPath, by_stem: dict[str, list[PurePosixPath]]) -> list[PurePosixPath]:
    """The photographs that a mask of a folder of masks may belong to: of the same name, beside
    that folder or below its neighbours, and in a folder of the same class where it names one."""
    top = _mask_folder(mask.parent)
    assert top is not None
    classes = [part.casefold() for part in mask.parent.relative_to(top).parts]
    near = [
        photograph
        for stem in dict.fromkeys((mask.stem.casefold(), photograph_stem(mask)))
        for photograph in by_stem.get(stem, [])
        if top.parent in photograph.parents
    ]
    if not classes:
        return near
    count = len(classes)
    return [p for p in near if [part.casefold() for part in p.parent.parts[-count:]] == classes]


def _join(
    root: Path, found: MaskLayout, mask: PurePosixPath, photographs: list[PurePosixPath]
) -> None:
    if not photographs:
        found.strays.append(str(mask))
        return
    if len(photographs) > 1:
        raise CatalogError(
            f"{root}: the mask {mask} may belong to {photographs[0]} or {photographs[1]}. Give "
            "them different names, or name the masks in the column mask of an index.csv."
        )
    photograph = str(photographs[0])
    if photograph in found.masks:
        raise CatalogError(
            f"{root}: {photograph} has two masks, {found.masks[photograph]} and {mask}. Join them "
            "into one, or name one in the column mask of an index.csv."
        )
    found.masks[photograph] = str(mask)
