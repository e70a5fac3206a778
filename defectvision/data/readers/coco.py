"""Reader of COCO instance annotations: one JSON file beside or above its images."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from defectvision.bundle.labels import SEPARATOR
from defectvision.data.catalog import Catalog, CatalogError, catalog_table
from defectvision.data.rle.coco import read_segmentation

IMAGE_FOLDERS = ("", "images", "train", "val", "test", "train2017", "val2017")
LARGEST_JSON = 512 * 1024 * 1024


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
    its box. An image without annotation is good. Annotations marked `iscrowd` are left out and
    named. Raises CatalogError for a file that is not COCO, that points outside its folder, or
    whose masks do not fit their images.
    """
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise CatalogError(f"{file}: larger than {LARGEST_JSON >> 20} MB. Split it.")
        content = json.loads(file.read_text(encoding="utf-8"))
        images = {entry["id"]: str(entry["file_name"]) for entry in content["images"]}
        names = {entry["id"]: str(entry["name"]).strip() for entry in content["categories"]}
        annotations = content.get("annotations", [])
        sizes = {e["id"]: (e["height"], e["width"]) for e in content["images"] if "height" in e}
        missing = [a for a in annotations if a["image_id"] not in images]
        unnamed = [a for a in annotations if a["category_id"] not in names]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CatalogError(f"{file}: cannot be read as JSON ({error}).") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise CatalogError(
            f"{file}: not COCO annotations (no {error}). They have images, categories and "
            "annotations; or put an index.csv beside the images."
        ) from error
    if missing or unnamed:
        raise CatalogError(
            f"{file}: {len(missing)} annotations of unknown images and {len(unnamed)} of unknown "
            "categories. Export it again."
        )
    if not images:
        raise CatalogError(f"{file}: names no image.")
    if bad := [n for n in names.values() if not n or SEPARATOR in n]:
        raise CatalogError(
            f"{file}: the category {bad[0]!r} is empty or contains '{SEPARATOR}'. Rename it."
        )
    return _catalog(file, images, names, annotations, sizes)


def _catalog(
    file: Path,
    images: dict[int, str],
    names: dict[int, str],
    annotations: list[dict[str, Any]],
    sizes: dict[int, tuple[int, int]],
) -> tuple[Catalog, pd.DataFrame, bool]:
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    for name in images.values():
        posix = PurePosixPath(name.replace("\\", "/"))
        if posix.is_absolute() or ".." in posix.parts or not name:
            raise CatalogError(f"{file}: {name!r} is not a file inside the folder.")
    first = [name.replace("\\", "/") for name in images.values()]
    prefix, most = "", -1
    for folder in IMAGE_FOLDERS:
        here = sum((root / folder / name).is_file() for name in first[:200])
        if here > most:
            prefix, most = folder, here
    number = {key: i for i, key in enumerate(images)}
    crowds = sum(bool(a.get("iscrowd")) for a in annotations)
    rows = []
    for position, entry in enumerate(annotations, 1):
        if entry.get("iscrowd"):
            continue
        image = entry["image_id"]
        where = f"{file}, annotation {entry.get('id', position)} ({images[image]})"
        kind, shape, area = _shape(entry, sizes.get(image), where)
        rows.append(
            {
                "image": number[image],
                "label": names[entry["category_id"]],
                "kind": kind,
                "shape": shape,
                "area_px": area,
            }
        )
    found = pd.DataFrame(rows, columns=["image", "label", "kind", "shape", "area_px"])
    labels = found.groupby("image")["label"].agg(lambda x: SEPARATOR.join(sorted(set(x))))
    warnings = [f"{crowds} crowd annotations are left out."] if crowds else []
    if most <= 0:
        warnings.append("none of the images is there: charts that need pixels are left out.")
    paths = [str(PurePosixPath(prefix) / name) for name in first]
    if len(set(paths)) != len(paths):
        raise CatalogError(f"{file}: two images have the same file name.")
    catalog = Catalog(
        root,
        catalog_table({"path": paths, "label": [labels.get(i, "") for i in range(len(paths))]}),
        root.resolve().name,
        tuple(warnings),
        "coco",
    )
    return catalog, found, most > 0


def _shape(
    entry: dict[str, Any], size: tuple[int, int] | None, where: str
) -> tuple[str, object, float]:
    """Kind, shape and area in px of one annotation, as an ImageSet keeps them."""
    shape = entry.get("segmentation")
    area = float(entry.get("area", float("nan")))
    if isinstance(shape, dict):
        text, counted = read_segmentation(shape, size, where)
        return "rle", text, float(counted)
    if isinstance(shape, list) and shape and isinstance(shape[0], list):
        return "polygon", shape, area
    return "box", entry.get("bbox") or [0, 0, 0, 0], area


def _looks_like_coco(file: Path) -> bool:
    """Without parsing: an instances file begins with, or names, the three lists."""
    try:
        if file.stat().st_size > LARGEST_JSON:
            return False
        text = file.read_bytes()
    except OSError:
        return False
    return all(f'"{name}"'.encode() in text for name in ("images", "annotations", "categories"))
