"""Reader of LabelMe sets: a JSON file an image, beside it or in a folder of its own."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import PngImagePlugin

from defectvision import roots
from defectvision.data.catalog import CatalogError
from defectvision.data.readers.annotated import (
    AnnotatedSet,
    Marked,
    Read,
    Told,
    class_name,
    pairs_of,
)
from defectvision.data.readers.coco_shapes import NAN, Shape, is_number
from defectvision.data.readers.set_files import Pairing, SetFiles
from defectvision.data.rle.severstal import encode_rle
from defectvision.limits import PIXELS

LARGEST_JSON = 256 * 1024 * 1024  # the image is often inside
LOOKED_AT, HEAD = 5, 1 << 16
SHAPES = re.compile(rb'"shapes"\s*:')
OTHERS = re.compile(rb'"(imagePath|imageHeight|imageData)"\s*:')
CORNERS = 256  # of the polygon that a circle becomes
REMEDY = "Draw what it means as a polygon, or take it out."


def is_labelme(files: SetFiles) -> bool:
    """Whether one of the first JSON files, of those with the name of an image before others, is
    LabelMe's by its keys."""
    return any(has_shapes(files.root / file) for file in files.first(".json", LOOKED_AT))


def read_labelme(files: SetFiles) -> Read:
    """The catalog, its annotations, and whether any image is there.

    Polygons, rectangles, circles and masks are read, and flags of the image that are set are
    classes of it. Lines and points enclose nothing: they are marked as spoiled, under their
    class. An image without a file is good. Raises CatalogError where a name fits two images.
    """
    photographs, masks, strays = files.apart()
    pairing = Pairing(files.root, photographs)
    told: dict[PurePosixPath, Told] = {}
    for file in files.of(".json"):
        try:
            content = _content(files.root / file, str(file))
        except CatalogError as error:
            told[file] = Told("", error, has_shapes(files.root / file))
            continue
        said = str(content.get("imagePath") or "")
        try:
            told[file] = Told(said, _marked(content, str(file)))
        except CatalogError as error:
            told[file] = Told(said, error, "shapes" in content)
    pairs = pairs_of(pairing, told)
    made = AnnotatedSet(files.root, "labelme", pairs, photographs, masks, left_out=strays)
    return made.read(lambda file: told[file].read())


def has_shapes(file: Path) -> bool:
    """Whether a file has LabelMe's keys, without parsing it; of one that begins with an image, all
    is looked at."""
    try:
        with roots.opened(file) as stream:
            head = stream.read(HEAD)
            if not (SHAPES.search(head) and OTHERS.search(head)):
                head += stream.read(LARGEST_JSON)
    except OSError:
        return False
    return bool(SHAPES.search(head) and OTHERS.search(head))


def _content(file: Path, name: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > LARGEST_JSON:
            raise CatalogError(f"{name}: larger than {LARGEST_JSON >> 20} MB. Export it smaller.")
        content = json.loads(roots.content(file).decode("utf-8-sig"))
    except CatalogError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CatalogError(f"{name}: cannot be read as JSON ({error}). Export it again.") from error
    if not isinstance(content, dict):
        raise CatalogError(f"{name}: no annotations of LabelMe. Export it again.")
    return content


def _marked(content: dict[str, Any], name: str) -> Marked:
    shapes, flags = content.get("shapes"), content.get("flags") or {}
    if not isinstance(shapes, list) or not isinstance(flags, dict):
        raise CatalogError(f"{name}: no list of shapes, or flags that are none. Export it again.")
    height, width = content.get("imageHeight"), content.get("imageWidth")
    size = None
    if is_number(height) and is_number(width) and height >= 1 and width >= 1:
        size = int(height), int(width)
    marked = Marked()
    for flag, is_set in flags.items():
        if not isinstance(is_set, bool):
            raise CatalogError(f"{name}: the flag {flag!r} is neither true nor false. Correct it.")
        if is_set:
            marked.labels.add(class_name(flag, f"{name}, a flag"))
    for number, entry in enumerate(shapes, 1):
        where = f"{name}, shape {number}"
        if not isinstance(entry, dict):
            raise CatalogError(f"{where}: no object with a label. Export it again.")
        label = class_name(entry.get("label"), where)
        marked.place(label, partial(_shape, entry, size, where))
    return marked


def _shape(entry: dict[str, Any], size: tuple[int, int] | None, where: str) -> Shape:
    kind = entry.get("shape_type") or "polygon"
    points = _points(entry.get("points"), where)
    if kind in ("polygon", "rotation"):
        if len(points) < 3:
            raise CatalogError(f"{where}: a polygon of {len(points)} corners. {REMEDY}")
        return Shape("polygon", [[value for point in points for value in point]], NAN, size)
    if kind not in ("rectangle", "circle", "mask"):
        raise CatalogError(f"{where}: a {kind} encloses no area. {REMEDY}")
    if kind == "rectangle" and len(points) == 4:  # all corners, as other tools write them
        return Shape("polygon", [[value for point in points for value in point]], NAN, size)
    if len(points) != 2:
        raise CatalogError(f"{where}: a {kind} of {len(points)} points, which takes 2. {REMEDY}")
    (x, y), (to_x, to_y) = points
    if kind == "circle":
        radius = math.hypot(to_x - x, to_y - y)
        if radius <= 0:
            raise CatalogError(f"{where}: a circle without a radius. {REMEDY}")
        turns = [2 * math.pi * i / CORNERS for i in range(CORNERS)]
        outline = [(x + radius * math.cos(t), y + radius * math.sin(t)) for t in turns]
        return Shape("polygon", [[value for point in outline for value in point]], NAN, size)
    left, right, top, bottom = min(x, to_x), max(x, to_x), min(y, to_y), max(y, to_y)
    if kind == "mask":
        return _mask(entry.get("mask"), (left, top, right, bottom), size, where)
    if left == right or top == bottom:
        raise CatalogError(f"{where}: a rectangle of no width or height. {REMEDY}")
    return Shape("box", [left, top, right - left, bottom - top], NAN, size)


def _points(points: object, where: str) -> list[tuple[float, float]]:
    if not isinstance(points, list) or not all(
        isinstance(point, list) and len(point) == 2 and all(map(is_number, point))
        for point in points
    ):
        raise CatalogError(f"{where}: its points are not pairs of numbers. Export it again.")
    return [(float(x), float(y)) for x, y in points]


def _mask(
    text: object,
    box: tuple[float, float, float, float],
    size: tuple[int, int] | None,
    where: str,
) -> Shape:
    """The pixels of a mask of its box, whose corners (left, top, right, bottom) are in it."""
    left, top, right, bottom = map(round, box)
    if size is None or size[0] * size[1] > PIXELS:
        raise CatalogError(f"{where}: a mask in an image of unknown size. Export it again.")
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise CatalogError(f"{where}: a mask that leaves its image. Export it again.")
    try:
        data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        with PngImagePlugin.PngImageFile(io.BytesIO(data)) as image:
            if image.size != (right - left + 1, bottom - top + 1):
                raise CatalogError(
                    f"{where}: a mask of {image.width} x {image.height} px in a box of "
                    f"{right - left + 1} x {bottom - top + 1} px. Export it again."
                )
            pixels = np.asarray(image)
    except CatalogError:
        raise
    except Exception as error:  # readers meet foreign bytes with errors of every kind
        raise CatalogError(f"{where}: its mask is no PNG. Export it again.") from error
    if pixels.ndim != 2 or not pixels.any():
        raise CatalogError(f"{where}: its mask marks no pixel, or is no mask. {REMEDY}")
    whole = np.zeros(size, bool)
    whole[top : bottom + 1, left : right + 1] = pixels > 0
    return Shape("rle", encode_rle(whole), float(whole.sum()), size)
