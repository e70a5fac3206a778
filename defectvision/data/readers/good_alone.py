"""What speaks against taking every image of a folder as one of a good part.

Whoever sorts images into no classes says what is defective in other ways: in a file of labels, in
the images' names, by masks. Where one of them is not understood, the folder is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from defectvision.data.catalog import INDEX_NAME, CatalogError
from defectvision.data.image_head import image_size
from defectvision.data.mask_files import mask_pixels, own_size
from defectvision.data.readers.index import examples
from defectvision.data.readers.listing import scan
from defectvision.data.readers.mask_layout import photograph_stem

LABEL_SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml"),
        *(".xls", ".xlsx", ".ods", ".parquet", ".db", ".sqlite", ".mat", ".npy", ".npz", ".pkl"),
    }
)
SAYS_NOTHING = re.compile(r"(read[ _-]?me|licen[cs]e|copying|copyright|citation|notice)\b.*")
# Words of a name by which people tell that a part is not good.
DEFECTIVE = re.compile(
    r"ng|nok|nio|ko|bad|fail(ed|ure)?|reject(ed|s)?|scrap(ped)?|faulty?|"
    r"defect(s|ive)?|anomal(y|ies|ous)|abnormal|schlecht|ausschuss|defekt|mangelhaft"
)
LOOKED_AT = 3  # images of a folder, to tell that it holds masks
NOT = frozenset({"no", "non", "not", "without", "free", "ohne", "kein", "keine"})
REMEDY = (
    f"sort the images into a folder of good ones and one for each defect, or put an {INDEX_NAME} "
    "with the columns path,label beside them"
)


def check_good_alone(
    root: Path, folder: PurePosixPath, names: Sequence[str], limit_pixels: int
) -> None:
    """Raises CatalogError where something in the folder `folder` of `root`, whose images are
    `names`, may say that some of them are not good."""
    if labels := _label_files(root):
        raise CatalogError(
            f"{root}: {examples(labels)} may say which parts are defective, and nobody knows how: "
            f"every image would count as a good part. Move it away if it says nothing of defects. "
            f"Else {REMEDY}."
        )
    named = [name for name in names if says_defective(PurePosixPath(name).stem)]
    if says_defective((root / folder).name):
        named = [f"the folder's own name, {(root / folder).name!r},"]
    if named:
        raise CatalogError(
            f"{root}: {examples(named)} says that a part is not good, and without classes every "
            f"image would count as a good part. Rename it if it is one. Else {REMEDY}."
        )
    check_no_masks(root, folder, names, limit_pixels)


def check_no_masks(
    root: Path, folder: PurePosixPath, names: Sequence[str], limit_pixels: int
) -> None:
    """Raises CatalogError where an image among `names` is the mask of another one, by its name and
    its pixels: both would count as whatever the folder says. A picture of more than `limit_pixels`
    px is not decoded, as nobody reads it."""
    for mask, photograph in _related(names):
        if not _shown_by(root, folder / mask, [folder / photograph], limit_pixels):
            continue
        raise CatalogError(
            f"{root / folder / mask}: looks like a mask of {photograph}, and is not named as one, "
            f"so both would count as photographs. Call it {PurePosixPath(photograph).stem}_mask"
            f"{PurePosixPath(mask).suffix}, or move it away with its photograph."
        )


def check_no_mask_folders(
    root: Path, folders: Mapping[PurePosixPath, Sequence[str]], limit_pixels: int
) -> None:
    """Raises CatalogError where one of some class folders, given with the names in it, holds masks
    of images of the others, by the names and the pixels of a few: all of it would count as
    photographs of a class. limit_pixels: as in `check_no_masks`."""
    by_stem: dict[str, list[PurePosixPath]] = {}
    for folder, names in folders.items():
        for name in names:
            by_stem.setdefault(PurePosixPath(name).stem.casefold(), []).append(folder / name)
    for folder, names in folders.items():
        tried = []
        for mask in (folder / name for name in names):
            same = by_stem.get(photograph_stem(mask)) or by_stem[mask.stem.casefold()]
            if others := [image for image in same if image.parent != folder]:
                tried.append((mask, others))
            if len(tried) == LOOKED_AT:
                break
        photograph = _all_shown(root, tried, limit_pixels)
        if photograph is not None:
            place = photograph.parent.parent / "masks" / photograph.parent.name
            raise CatalogError(
                f"{root / tried[0][0]}: looks like a mask of {photograph}, and its folder is not "
                f"called as one of masks, so both would count as photographs. Call the folder "
                f"{place}, or name the masks in the column mask of an {INDEX_NAME}."
            )


def _all_shown(
    root: Path, tried: Sequence[tuple[PurePosixPath, list[PurePosixPath]]], limit_pixels: int
) -> PurePosixPath | None:
    """The photograph that the first of some pictures may be a mask of, each given with those that
    it may belong to; None where one is no mask, or nothing is marked on any."""
    first, any_marked = None, False
    for mask, others in tried:
        found = _shown_by(root, mask, others, limit_pixels)
        if found is None:
            return None
        photograph, marked = found
        first, any_marked = first or photograph, any_marked or marked
    return first if any_marked else None


def _shown_by(
    root: Path, mask: PurePosixPath, photographs: Sequence[PurePosixPath], limit_pixels: int
) -> tuple[PurePosixPath, bool] | None:
    """The one of some photographs that `mask`, where it is one, may be of, and whether it has
    both marked places and others."""
    size = sorted(image_size(root / mask) or ())  # one of the two may be turned by its EXIF
    fits = [image for image in photographs if sorted(image_size(root / image) or ()) == size]
    pixels = _pixels(root / mask, limit_pixels) if fits else None
    if pixels is None:
        return None
    marked = bool(pixels.any()) and not pixels.all()
    shown = (image for image in fits if _pixels(root / image, limit_pixels) is None)
    return next(((image, marked) for image in shown), None)


def _pixels(file: Path, limit_pixels: int) -> NDArray[np.bool_] | None:
    """What is marked on a picture of black and white or numbers alone; None of another one."""
    try:
        return mask_pixels(file, own_size(file, limit_pixels))
    except (CatalogError, OSError):
        return None


def says_defective(name: str) -> bool:
    """Whether a word of a file's or folder's name says that a part is not good: "00_NG", "bad 3",
    but not "no_defects"."""
    # Letters between digits are no word: files are kept under numbers to the base 16, too.
    words = [word.strip("0123456789") for word in re.split(r"[\W_]+", name.casefold())]
    if NOT & set(words):
        return "good" in words or "ok" in words  # "not_ok"
    return any(DEFECTIVE.fullmatch(word) for word in words)


def _label_files(root: Path) -> list[str]:
    found = scan(root, lambda name: not name.startswith(".") and _may_label(PurePosixPath(name)))
    return [str(folder / name) for folder, names in found.items() for name in names]


def _may_label(file: PurePosixPath) -> bool:
    return file.suffix.lower() in LABEL_SUFFIXES and not SAYS_NOTHING.fullmatch(
        file.name.casefold()
    )


def _related(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of which the first is called as the second and something with a letter before or
    behind, or by another suffix."""
    by_stem: dict[str, list[str]] = {}
    for name in names:
        by_stem.setdefault(PurePosixPath(name).stem.casefold(), []).append(name)
    for stem, same in by_stem.items():
        yield from ((one, other) for one in same for other in same if one != other)
        for cut in range(1, len(stem)):
            for inner, rest in ((stem[:cut], stem[cut:]), (stem[cut:], stem[:cut])):
                if inner in by_stem and re.search(r"[^\W\d_]", rest):
                    yield from ((one, other) for one in same for other in by_stem[inner])
