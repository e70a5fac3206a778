"""Reader of the magnetic-tile set as published: `MT_<Class>/Imgs/*.jpg` with a PNG mask each."""

from pathlib import Path

from defectvision.data.catalog import Catalog
from defectvision.data.readers.index import checked_catalog

GOOD = "free"


def is_magnetic_tile(root: Path) -> bool:
    """Whether the folder has the published layout."""
    return any(folder.is_dir() for folder in root.glob("MT_*/Imgs"))


def read_magnetic_tile(root: Path) -> Catalog:
    """One class per `MT_*` folder; a photograph without its PNG has no mask and is named."""
    columns: dict[str, list[str]] = {"path": [], "label": [], "mask": []}
    bare: list[str] = []
    warnings: list[str] = []
    for folder in sorted(root.glob("MT_*/Imgs")):
        label = folder.parent.name.removeprefix("MT_").lower()
        photographs = sorted(folder.glob("*.jpg"))
        if not photographs:
            warnings.append(f"{folder.relative_to(root)} holds no image and adds no class.")
        for file in photographs:
            path = file.relative_to(root).as_posix()
            mask = file.with_suffix(".png")
            columns["path"].append(path)
            columns["label"].append(label)
            columns["mask"].append(mask.relative_to(root).as_posix() if mask.is_file() else "")
            if not mask.is_file():
                bare.append(path)
    if bare:
        warnings.append(f"{len(bare)} images have no mask beside them, {bare[0]} for example.")
    return checked_catalog(root, columns, "magnetic tile", warnings)
