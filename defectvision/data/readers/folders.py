"""Readers of published layouts: any of them opens as a catalog."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from defectvision.bundle.labels import SEPARATOR, spelled
from defectvision.data.catalog import INDEX_NAME, SPLITS, Catalog, CatalogError, LeftOut
from defectvision.data.image_names import IMAGE_SUFFIXES
from defectvision.data.mask_files import mask_pixels, own_size
from defectvision.data.readers.good_alone import (
    check_good_alone,
    check_no_mask_folders,
    check_no_masks,
)
from defectvision.data.readers.index import checked_catalog, examples, find_index, read_index
from defectvision.data.readers.listing import (
    SPLIT_FOLDERS,
    left_out_unnamed,
    left_out_unread,
    scan,
)
from defectvision.data.readers.mask_layout import MaskLayout, split_masks
from defectvision.data.readers.set_files import IMAGE_FOLDERS
from defectvision.limits import PIXELS
from defectvision.words import counted

CASTING_FOLDERS = {"def_front": "def", "ok_front": "ok"}
# NEU-CLS codes, NEU-DET names and the spellings of the copies on Kaggle
NEU_LABELS = {
    "cr": "crazing",
    "in": "inclusion",
    "pa": "patches",
    "ps": "pitted_surface",
    "pitted": "pitted_surface",
    "rs": "rolled-in_scale",
    "rolled": "rolled-in_scale",
    "rolled_in_scale": "rolled-in_scale",
    "sc": "scratches",
    **{name: name for name in ("crazing", "inclusion", "patches", "pitted_surface", "scratches")},
}
# Folders that published sets keep beside or above their images; never a class.
NOT_CLASSES = IMAGE_FOLDERS | {
    *("train_images", "test_images", "ground_truth", "annotations", "masks")
}
# Of MVTec AD 2, whose labels its makers keep.
UNLABELLED_FOLDERS = frozenset({"test_private", "test_private_mixed"})
CASTING_SPLIT_WARNING = (
    "the published casting train/test split separates images of the same photograph (700 of its "
    "715 test images show a photograph of its training split): a score on it measures memory. "
    "Find the photo groups with `defectvision data report` and split by group."
)
INDEX_REMEDY = (
    f"Put an {INDEX_NAME} with the columns path,label (and mask, where masks are there) beside the "
    "images"
)
# A folder a part, as KolektorSDD has them: what is good, the masks tell.
PART_FOLDER = re.compile(r"kos\d+", re.IGNORECASE)
MARKED = "defect"


def open_catalog(path: Path, unsorted_good: bool = False, limit_pixels: int = PIXELS) -> Catalog:
    """Open a folder of labelled images in any known layout, or an index file itself.

    Known are `index.csv`, the published casting layout, NEU (flat names or class folders),
    `train/ val/ test/` of class folders, a folder of class folders and, where `unsorted_good`, a
    folder of images of good parts. Masks that tell a label are decoded up to `limit_pixels` px.
    What is odd but usable stands in `warnings`. Raises CatalogError, which says what is wrong and
    what to do.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise CatalogError(
                f"{path}: a file, not a folder of images. Unpack it and give the folder."
            )
        return read_index(path)
    if not path.is_dir():
        raise CatalogError(f"{path}: no such folder. Check the path.")
    if index := find_index(path):
        return read_index(index)
    return _read_folders(path, unsorted_good, limit_pixels)


@dataclass
class _Tree:
    """Image names per folder; folders are relative to the opened one."""

    images: dict[PurePosixPath, list[str]]

    def __post_init__(self) -> None:
        filled = [folder for folder, names in self.images.items() if names]
        self._filled = {above for folder in filled for above in (folder, *folder.parents)}
        self._children: dict[PurePosixPath, list[PurePosixPath]] = {f: [] for f in self.images}
        for folder in sorted(self.images):
            if folder != folder.parent:
                self._children[folder.parent].append(folder)

    def children(self, folder: PurePosixPath) -> list[PurePosixPath]:
        return self._children[folder]

    def has_images(self, folder: PurePosixPath) -> bool:
        """Whether an image lies in the folder or anywhere below."""
        return folder in self._filled

    def unwrapped(self, folder: PurePosixPath) -> PurePosixPath:
        """The folder below the wrappers that archives put around their content."""
        while not self.images[folder]:
            inner = [f for f in self.children(folder) if self.has_images(f)]
            if len(inner) != 1 or inner[0].name.lower() in SPLIT_FOLDERS:
                break
            if self.images[inner[0]] and not _neu_flat(self.images[inner[0]]):
                break  # the only class folder
            folder = inner[0]
        return folder


def _neu_code(name: str) -> str:
    return NEU_LABELS.get(re.sub(r"[\s-]", "_", name.strip().lower()), "")


def _neu_flat(names: list[str]) -> list[str]:
    """Labels of flat NEU names such as `Cr_1.bmp`; empty where one name is none of them, and
    where all have one label."""
    matches = [re.fullmatch(r"(.+)_\d+", PurePosixPath(name).stem) for name in names]
    labels = [_neu_code(match[1]) if match else "" for match in matches]
    # One code alone, such as IN_0001, may be any other maker's name.
    return labels if all(labels) and len(set(labels)) > 1 else []


@dataclass
class _Rows:
    limit_pixels: int
    path: list[str] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    split: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    neu: bool = False
    masks: dict[str, str] = field(default_factory=dict)
    group: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def add(self, folder: PurePosixPath, names: list[str], labels: list[str], split: str) -> None:
        self.path += [str(folder / name) for name in names]
        self.label += labels
        self.split += [split] * len(names)

    def catalog(self, root: Path, layout: str) -> Catalog:
        columns = {"path": self.path, "label": self.label, "split": self.split}
        columns["mask"] = [self.masks.get(path, "") for path in self.path]
        if self.group:
            columns["photo_group"] = self.group
        catalog = checked_catalog(root, columns, layout, self.warnings, bool(self.group))
        return replace(catalog, left_out=tuple(self.left_out))


def _read_folders(root: Path, unsorted_good: bool, limit_pixels: int) -> Catalog:
    unnamed: list[PurePosixPath] = []
    unread: list[PurePosixPath] = []
    layout = split_masks(root, scan(root, unnamed=unnamed, unread=unread))
    tree = _Tree(layout.photographs)
    top = PurePosixPath(".")
    rows = _Rows(limit_pixels, masks=layout.masks)
    rows.left_out += [
        LeftOut(name, "a mask of no photograph that is there", "Put the photograph there.")
        for name in layout.strays
    ] + [*left_out_unnamed(unnamed), *left_out_unread(unread)]
    if not tree.has_images(top):
        raise CatalogError(
            f"{root}: no image in it (looked for {', '.join(sorted(IMAGE_SUFFIXES))}). "
            "Give the folder that holds the class folders."
        )
    filled = {folder: names for folder, names in tree.images.items() if names}
    if _told_by_masks(layout, filled):
        _add_marked(root, filled, rows)
        return rows.catalog(root, "masks beside")
    if all(folder.name.lower() in CASTING_FOLDERS for folder in filled):
        for folder, names in sorted(filled.items()):
            split = folder.parent.name.lower()
            label = CASTING_FOLDERS[folder.name.lower()]
            rows.add(folder, names, [label] * len(names), split if split in SPLITS else "")
        if any(rows.split):
            rows.warnings.append(CASTING_SPLIT_WARNING)
        return rows.catalog(root, "casting")

    top = tree.unwrapped(top)
    if unsorted_good and set(filled) == {top} and not _neu_flat(filled[top]):
        names = filled[top]
        check_good_alone(root, top, names, limit_pixels)
        rows.add(top, names, [""] * len(names), "")
        rows.warnings.append(
            f"{counted(len(names), 'image')} of {root} in no class folders: each is taken as one "
            "of a good part."
        )
        return rows.catalog(root, "good parts")
    inner = [folder for folder in tree.children(top) if tree.has_images(folder)]
    splits = [folder for folder in inner if folder.name.lower() in SPLIT_FOLDERS]
    # Splits hold class folders; a class that is only called 'test' holds images, but nobody
    # calls a class 'train'.
    nested = any(tree.has_images(deeper) for folder in splits for deeper in tree.children(folder))
    named = inner == splits and any(folder.name.lower() == "train" for folder in splits)
    if nested or named:
        unlabelled = [folder for folder in inner if folder.name.lower() in UNLABELLED_FOLDERS]
        for folder in unlabelled:
            inner.remove(folder)
            rows.warnings.append(f"{folder} holds images that nobody has labelled: left out.")
        if others := [str(folder) for folder in inner if folder not in splits]:
            raise CatalogError(
                f"{root}: {examples(others)} beside the split folders "
                f"{examples([str(folder) for folder in splits])}. Move it away, or: {INDEX_REMEDY}."
            )
        for folder in splits:
            _add_classes(root, tree, folder, SPLIT_FOLDERS[folder.name.lower()], rows)
        return rows.catalog(root, "neu" if rows.neu else "split folders")
    _add_classes(root, tree, top, "", rows)
    return rows.catalog(root, "neu" if rows.neu else "class folders")


def _told_by_masks(layout: MaskLayout, filled: dict[PurePosixPath, list[str]]) -> bool:
    """Whether masks tell alone what is good: most photographs have one beside them, and their
    folder is a part or a split and no class."""
    photographs = [str(folder / name) for folder in filled for name in filled[folder]]
    most = 2 * sum(name in layout.masks for name in photographs) > len(photographs)
    names = [folder.name for folder in filled]
    parts = all(PART_FOLDER.fullmatch(name) for name in names)
    return (
        layout.beside
        and most
        and (parts or all(name.lower() in ("", *SPLIT_FOLDERS) for name in names))
    )


def _add_marked(root: Path, filled: dict[PurePosixPath, list[str]], rows: _Rows) -> None:
    """Add photographs whose masks beside them tell whether they show a defect; one without is left
    out."""
    for folder, names in sorted(filled.items()):
        labels, kept = [], []
        for name in names:
            if str(folder / name) not in rows.masks:
                reason = "has no mask beside it, as the others have, so nobody knows if it is good"
                rows.left_out.append(LeftOut(str(folder / name), reason, "Put its mask there."))
                continue
            mask = root / rows.masks[str(folder / name)]
            try:
                marked = bool(mask_pixels(mask, own_size(mask, rows.limit_pixels)).any())
            except (CatalogError, OSError) as error:
                reason = f"its mask tells not whether it is good ({error})"
                rows.left_out.append(LeftOut(str(folder / name), reason, "Export the mask again."))
                continue
            kept.append(name)
            labels.append(MARKED if marked else "")
        rows.add(folder, kept, labels, SPLIT_FOLDERS.get(folder.name.lower(), ""))
        if PART_FOLDER.fullmatch(folder.name):
            rows.group += [str(folder)] * len(kept)


def _add_classes(root: Path, tree: _Tree, top: PurePosixPath, split: str, rows: _Rows) -> None:
    """Add the images of one folder of class folders, or of one folder of flat NEU names."""
    top = tree.unwrapped(top)
    loose = tree.images[top]
    if loose and (labels := _neu_flat(loose)):
        rows.add(top, loose, labels, split)
        rows.neu = True
        return
    folders = tree.children(top)
    filled = [folder for folder in folders if tree.has_images(folder)]
    if not filled:
        raise CatalogError(
            f"{root / top}: {len(loose)} images ({examples(loose)}) but no class folders. "
            f"Sort them into one folder per class, or: {INDEX_REMEDY}."
        )
    for folder in filled:
        deeper = [str(f) for f, names in tree.images.items() if names and folder in f.parents]
        if deeper or folder.name.lower() in NOT_CLASSES:
            what = "is not the name of a class"
            if deeper:
                what = f"holds images in folders of its own ({examples(deeper)})"
            raise CatalogError(
                f"{root}: the folder {str(folder)!r} {what}, so its label is not known. Open the "
                f"folder whose folders are the classes, or: {INDEX_REMEDY}."
            )
        if SEPARATOR in folder.name:
            raise CatalogError(
                f"{root}: the class folder {str(folder)!r} has '{SEPARATOR}' in its name, "
                "which separates labels. Rename it."
            )
    named = {folder: tree.images[folder] for folder in filled}
    check_no_mask_folders(root, named, rows.limit_pixels)
    # Canonical names only for a whole NEU set: 'Patches' of another set stays what it is.
    neu = {_neu_code(folder.name) for folder in filled} == set(NEU_LABELS.values())
    for folder in filled:
        names, label = tree.images[folder], spelled(folder.name)
        check_no_masks(root, folder, names, rows.limit_pixels)
        rows.add(folder, names, [_neu_code(folder.name) if neu else label] * len(names), split)
    rows.neu |= neu
    rows.warnings += [
        f"class folder {str(folder)!r} holds no image and adds no class."
        for folder in folders
        if folder not in filled and folder.name.lower() not in NOT_CLASSES
    ]
    if loose:
        rows.warnings.append(
            f"{len(loose)} images beside the class folders ({examples(loose)}) are left out."
        )
