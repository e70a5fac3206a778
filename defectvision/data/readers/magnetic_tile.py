"""Reader of the magnetic-tile set as published: `MT_<Class>/Imgs/*.jpg` with a PNG mask each."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from defectvision.data.catalog import Catalog, CatalogError, LeftOut
from defectvision.data.image_names import is_image_name
from defectvision.data.readers.index import checked_catalog, examples
from defectvision.data.readers.listing import is_text, left_out_unnamed, scan

MASK_SUFFIX = ".png"


def is_magnetic_tile(root: Path) -> bool:
    """Whether the folder has the published layout."""
    return any(folder.is_dir() for folder in root.glob("MT_*/Imgs"))


def read_magnetic_tile(root: Path) -> Catalog:
    """One class per `MT_*` folder; a photograph without its PNG has no mask and is named, and so is
    a PNG without its photograph. Images elsewhere are left out."""
    columns: dict[str, list[str]] = {"path": [], "label": [], "mask": []}
    bare: list[str] = []
    unnamed: list[PurePosixPath] = []
    warnings: list[str] = []
    strays: list[LeftOut] = []
    folders = set()
    for folder in sorted(root.glob("MT_*/Imgs")):
        folders.add(PurePosixPath(folder.relative_to(root)))
        label = folder.parent.name.removeprefix("MT_").lower()
        files = sorted(file for file in folder.iterdir() if is_image_name(file.name))
        unnamed += [PurePosixPath(f.relative_to(root)) for f in files if not is_text(f.name)]
        files = [file for file in files if is_text(file.name)]
        masks = {file.stem: file for file in files if file.suffix.lower() == MASK_SUFFIX}
        photographs = [file for file in files if file.suffix.lower() != MASK_SUFFIX]
        strays += [
            LeftOut(
                file.relative_to(root).as_posix(),
                "a PNG is a mask, and its photograph is not there",
                "Put the photograph there as JPEG, TIFF or BMP.",
            )
            for stem, file in masks.items()
            if stem not in {photograph.stem for photograph in photographs}
        ]
        if not photographs:
            warnings.append(f"{folder.relative_to(root)} holds no image and adds no class.")
        for file in photographs:
            path = file.relative_to(root).as_posix()
            mask = masks.get(file.stem)
            columns["path"].append(path)
            columns["label"].append(label)
            columns["mask"].append(mask.relative_to(root).as_posix() if mask else "")
            if mask is None:
                bare.append(path)
    if not columns["path"]:
        raise CatalogError(
            f"{root}: no photograph in its folders MT_*/Imgs. The photographs are JPEG, TIFF or "
            "BMP files, and the PNG of the same name is the mask."
        )
    if bare:
        warnings.append(f"{len(bare)} images have no mask beside them, {bare[0]} for example.")
    others = [
        str(folder / name)
        for folder, names in scan(root, unnamed=[]).items()
        if folder not in folders
        for name in names
    ]
    if others:
        warnings.append(
            f"{len(others)} images beside the folders MT_*/Imgs ({examples(others)}) are left out."
        )
    catalog = checked_catalog(root, columns, "magnetic tile", warnings)
    return replace(catalog, left_out=(*left_out_unnamed(unnamed), *strays))
