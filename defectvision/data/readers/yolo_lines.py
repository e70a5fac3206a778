"""The lines of a YOLO label file: `class numbers ...`, as shares of the upright image's sides."""

from __future__ import annotations

import math
from functools import partial

from defectvision.data.catalog import CatalogError
from defectvision.data.readers.annotated import Marked
from defectvision.data.readers.coco_shapes import LEAST_NUMBERS, NAN, Shape

ROUNDING = 1e-3  # how far a number may leave 0 to 1, which is then taken as the border


def read_lines(text: str, where: str, names: dict[int, str], keypoints: int = 0) -> Marked:
    """What a label file marks: boxes (centre x, centre y, width, height) and polygons (x, y of
    three corners or more, of four where boxes are turned). keypoints: how many numbers stand
    behind each box, which are passed over.

    A line whose numbers are none of these is marked as spoiled, under its class. Raises
    CatalogError, which begins with `where`, for a line whose class is not known.
    """
    marked = Marked()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        here = f"{where}, line {number}"
        label = _class_name(words[0], here, names)
        marked.place(label, partial(_shape, words[1:], here, keypoints))
    return marked


def looks_like_lines(text: str) -> bool:
    """Whether the first line that is not empty is a class number and four numbers or more."""
    words = next((line.split() for line in text.splitlines() if line.strip()), [])
    return len(words) >= 5 and all(_number(word) is not None for word in words)


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in word else None


def _class_name(word: str, here: str, names: dict[int, str]) -> str:
    value = _number(word)
    if value is None or value != int(value) or int(value) not in names:
        raise CatalogError(
            f"{here}: the class {word!r} is none of the {len(names)} that have a name. Add its "
            "name to the list of classes, or correct the line."
        )
    return names[int(value)]


def _shape(words: list[str], here: str, keypoints: int) -> Shape:
    values = [_number(word) for word in words]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        raise CatalogError(f"{here}: not all of it are numbers. Export it again.")
    if keypoints and len(numbers) in (4, 4 + keypoints):
        return _box(numbers[:4], here)
    if len(numbers) == 4:
        return _box(numbers, here)
    if len(numbers) == 5 or (len(numbers) > LEAST_NUMBERS and len(numbers) % 2):
        raise CatalogError(
            f"{here}: {len(numbers)} numbers behind the class, the last of them a confidence: this "
            "is what a model predicted, and no label. Give the labels that people drew, or take "
            "the confidence out where somebody checked them."
        )
    if keypoints or len(numbers) < LEAST_NUMBERS:
        raise CatalogError(
            f"{here}: {len(numbers)} numbers behind the class. A box has four, a polygon x and y "
            "of three corners or more."
        )
    return Shape("relative polygon", [[_share(value, here) for value in numbers]], NAN, None)


def _box(numbers: list[float], here: str) -> Shape:
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        raise CatalogError(f"{here}: a box of no width or height. Draw it, or take it out.")
    left, right = _share(x - width / 2, here), _share(x + width / 2, here)
    top, bottom = _share(y - height / 2, here), _share(y + height / 2, here)
    return Shape("relative box", [left, top, right - left, bottom - top], NAN, None)


def _share(value: float, here: str) -> float:
    if not -ROUNDING <= value <= 1 + ROUNDING:
        raise CatalogError(
            f"{here}: it reaches {value:g}, where 0 and 1 are the borders of the image. Export it "
            "as shares of the image's width and height, not in px, and within the image."
        )
    return min(max(value, 0.0), 1.0)
