"""Reader of YOLO sets: a label file an image, `class numbers ...` a line.

As Ultralytics, Roboflow, CVAT, Label Studio and labelImg write them: `images/train/a.jpg` and
`labels/train/a.txt`, `train/images` and `train/labels`, or each label file beside its image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from defectvision.data.catalog import CatalogError, LeftOut
from defectvision.data.readers.annotated import AnnotatedSet, Read
from defectvision.data.readers.found_images import plain, relative_parts
from defectvision.data.readers.index import examples
from defectvision.data.readers.listing import SPLIT_FOLDERS
from defectvision.data.readers.set_files import Pairing, SetFiles, read_text
from defectvision.data.readers.yolo_lines import looks_like_lines, read_lines
from defectvision.data.readers.yolo_names import YoloNames, find_names, read_names
from defectvision.roots import opened

LARGEST_LABELS, LARGEST_LIST = 16 * 1024 * 1024, 64 * 1024 * 1024
LOOKED_AT = 20  # label files, to tell what they are
IMAGES, LABELS = "images", "labels"
CVAT_FOLDER = re.compile(r"obj_\w+_data", re.IGNORECASE)
# Texts that stand beside labels and are none.
OTHER_TEXTS = frozenset(
    {"classes.txt", "images.txt", "trainval.txt", *(f"{name}.txt" for name in SPLIT_FOLDERS)}
)


def is_yolo(files: SetFiles) -> bool:
    """Whether label files lie there, by their places and the first lines of some."""
    if not files.of(".txt"):
        return False
    apart, beside = _label_files(files)
    if find_names(files):
        in_cvat = any(CVAT_FOLDER.fullmatch(part) for file in beside for part in file.parts)
        return bool(apart) or in_cvat or _any_lines(files, beside)
    return any(_is_images(folder) for folder in files.folders) and _any_lines(files, apart)


def read_yolo(files: SetFiles, yaml: PurePosixPath | None = None) -> Read:
    """The catalog, its annotations, and whether any image is there.

    yaml: the data.yaml that was opened. An image with an empty label file or none is good, unless
    nobody labelled an image of its folder: then it is left out. Raises CatalogError where the
    names of the classes are not known and where a name fits two images.
    """
    found = [yaml] if yaml else find_names(files)
    if not found:
        raise CatalogError(
            f"{files.root}: YOLO labels, and nothing names their classes. Put a classes.txt with a "
            "name a line beside them, or the data.yaml."
        )
    known = read_names(files.root, found)
    photographs, masks, strays = files.apart()
    pairing = Pairing(files.root, photographs)
    apart, beside = _label_files(files)
    pairs = {file: pairing.image_of(file) for file in (*apart, *beside)}
    pairs = {
        file: image
        for file, image in pairs.items()
        if image is not None or file.name.casefold() not in OTHER_TEXTS
    }
    made = AnnotatedSet(files.root, "yolo", pairs, photographs, masks, left_out=strays)
    made.classes = known.names.values()
    made.photographs = _labelled(files, made)
    if photographs and not made.photographs:
        raise CatalogError(
            f"{files.root}: none of the {len(pairs)} label files has the name of one of the "
            f"{len(photographs)} images ({examples(list(map(str, photographs)))}). Open the "
            "folder in which both lie."
        )
    if photographs:
        _add_splits(files, known, pairing, made)
    return made.read(
        lambda file: read_lines(
            read_text(files.root / file, LARGEST_LABELS, file),
            str(file),
            known.names,
            known.keypoints,
        )
    )


def _is_images(folder: PurePosixPath) -> bool:
    return IMAGES in (part.casefold() for part in folder.parts)


def _label_files(files: SetFiles) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """The label files in folders called labels, and those beside their images."""
    apart, beside, others = [], [], []
    stems = {
        folder: {PurePosixPath(name).stem for name in names}
        for folder, names in files.images.items()
    }
    for file in files.of(".txt"):
        parts = [part.casefold() for part in file.parts[:-1]]
        if LABELS in parts:
            apart.append(file)
        elif file.stem in stems[file.parent] or any(map(CVAT_FOLDER.fullmatch, parts)):
            beside.append(file)
        elif file.name.casefold() not in OTHER_TEXTS:
            others.append(file)
    folders = {file.parent for file in beside}
    lonely = [file for file in others if file.parent in folders and _any_lines(files, [file])]
    return apart, beside + lonely


def _any_lines(files: SetFiles, found: Iterable[PurePosixPath]) -> bool:
    """Whether the first lines of one of some files are YOLO's."""
    for number, file in enumerate(found):
        if number == LOOKED_AT:
            break
        try:
            with opened(files.root / file) as stream:
                head = stream.read(1 << 16).decode("utf-8-sig", errors="replace")
        except OSError:
            continue
        if looks_like_lines(head):
            return True
    return False


def _labelled(files: SetFiles, made: AnnotatedSet) -> list[PurePosixPath]:
    """The photographs of folders in which one is labelled or that have a folder of labels; the
    others are named."""
    folders = {image.parent for image in made.pairs.values() if image is not None}
    there = {tuple(map(plain, folder.parts)) for folder in files.folders}
    without: dict[PurePosixPath, int] = {}
    kept = []
    for image in made.photographs:
        parts = [plain(part) for part in image.parent.parts]
        if image.parent not in folders and IMAGES in parts:
            last = len(parts) - 1 - parts[::-1].index(IMAGES)
            if (*parts[:last], LABELS, *parts[last + 1 :]) in there:
                folders.add(image.parent)
        if image.parent in folders:
            kept.append(image)
        else:
            without[image.parent] = without.get(image.parent, 0) + 1
    for folder, count in without.items() if kept else ():
        reason = f"{count} images, and no label file for one of them"
        if _is_images(folder):
            remedy = "Put their label files there, empty ones for good parts."
            made.left_out.append(LeftOut(str(folder), reason, remedy))
        else:
            made.warnings.append(f"{folder}: {reason}; they are left out.")
    return kept


def _add_splits(files: SetFiles, known: YoloNames, pairing: Pairing, made: AnnotatedSet) -> None:
    """The splits of images as data.yaml and the lists of images tell them."""
    lists = files.of(".txt")
    told: dict[str, list[str]] = {}
    used: set[PurePosixPath] = set()
    for split, places in known.splits.items():
        images = told.setdefault(split, [])
        for place in places:
            if place.casefold().endswith(".txt"):
                if file := _meant(files, known, place, lists):
                    used.add(file)
                    images += _listed(files, file, pairing, made)
                    continue
            else:
                above = {folder for image in made.photographs for folder in image.parents}
                if folder := _meant(files, known, place, sorted(above)):
                    images += [str(image) for image in made.photographs if folder in image.parents]
                    continue
            if relative_parts(place):
                made.warnings.append(f"{known.file} names {split}: {place}, which is not there.")
    for file in lists:
        near = file.parent in (PurePosixPath(), known.file.parent)
        if (split := SPLIT_FOLDERS.get(file.stem.casefold(), "")) and near and file not in used:
            told.setdefault(split, []).extend(_listed(files, file, pairing, made))
    made.split(told)


def _meant(
    files: SetFiles, known: YoloNames, place: str, there: list[PurePosixPath]
) -> PurePosixPath | None:
    """The folder or list that a data.yaml, perhaps of another machine, means by `place`. Raises
    CatalogError where two fit as well."""
    wanted = [plain(part) for part in relative_parts(place) if part != ".."]
    if not wanted:
        return None
    best: list[PurePosixPath] = []
    most = 0
    for one in there:
        parts = [plain(part) for part in one.parts]
        same = 0
        while same < min(len(parts), len(wanted)) and parts[-1 - same] == wanted[-1 - same]:
            same += 1
        if same and same in (len(parts), len(wanted)) and same >= most:
            best = [*(best if same == most else []), one]
            most = same
    exact = known.file.parent.joinpath(*relative_parts(place))
    beside = [one for one in best if one == exact]
    if len(best) > 1 and not beside:
        raise CatalogError(
            f"{files.root}: {known.file} names {place!r}, which may be {best[0]} or {best[1]}. "
            "Write the folder into the name."
        )
    return next(iter(beside or best), None)


def _listed(
    files: SetFiles, file: PurePosixPath, pairing: Pairing, made: AnnotatedSet
) -> list[str]:
    """The images that a list of images names; those that are not there are left out and named."""
    try:
        text = read_text(files.root / file, LARGEST_LIST, file)
    except CatalogError as error:
        made.warnings.append(str(error))
        return []
    names = [line.strip() for line in text.splitlines() if line.strip()]
    found = {name: pairing.found.find(name) for name in names}
    if missing := [name for name, image in found.items() if image is None]:
        reason = f"{len(missing)} images that it names are not there; the first is {missing[0]!r}"
        made.left_out.append(LeftOut(str(file), reason, "Put them there, or take the lines out."))
    return [image for image in found.values() if image is not None]
