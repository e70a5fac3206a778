"""One annotation file of Pascal VOC: XML with a box or a polygon an object."""

from __future__ import annotations

import codecs
import math
import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from defectvision.data.catalog import CatalogError
from defectvision.data.readers.annotated import Marked, class_name
from defectvision.data.readers.coco_shapes import LEAST_NUMBERS, NAN, Shape, box_shape
from defectvision.data.readers.set_files import read_bytes
from defectvision.roots import opened

LARGEST_XML = 16 * 1024 * 1024
HEAD = 4096
ROOT = re.compile(r"<annotation[\s>]")
# A few entities that stand for each other make gigabytes, others read files; nobody needs any.
HOSTILE = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
ENCODING = re.compile(rb"""^<\?xml[^>]*encoding=["']([\w.-]+)["']""")
CORNER = re.compile(r"([xy])([0-9]+)")


def looks_like_voc(file: Path) -> bool:
    """Without parsing: whether an annotation begins in the first lines."""
    try:
        with opened(file) as stream:
            head = stream.read(HEAD).replace(b"\0", b"")  # of UTF-16
            return bool(ROOT.search(head.decode("utf-8-sig", errors="replace")))
    except OSError:
        return False


def read_xml(file: Path, name: str) -> ElementTree.Element:
    """The annotation of a file, called `name` in messages. Raises CatalogError where it is none,
    is larger than LARGEST_XML or declares entities."""
    text = _decoded(read_bytes(file, LARGEST_XML, name), name)
    if HOSTILE.search(text):
        raise CatalogError(
            f"{name}: declares a document type or entities, which annotations have no use for. "
            "Export it without."
        )
    try:
        root = ElementTree.fromstring(text)  # a text, so that no encoding can hide anything
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise CatalogError(f"{name}: cannot be read as XML ({error}). Export it again.") from error
    if root.tag != "annotation":
        raise CatalogError(f"{name}: no annotation of Pascal VOC. Export it again.")
    return root


def _decoded(data: bytes, name: str) -> str:
    """Text by its byte order mark, as UTF-8, or as it declares itself."""
    declared = ENCODING.match(data)
    encodings = ["utf-8-sig", declared[1].decode() if declared else "utf-8"]
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except (UnicodeError, LookupError):
            continue
    raise CatalogError(f"{name}: not UTF-8. Save it as UTF-8.")


def image_name(root: ElementTree.Element) -> str:
    """What an annotation calls its image."""
    return (root.findtext("filename") or "").strip()


def marked_by(root: ElementTree.Element, name: str) -> Marked:
    """What an annotation marks. A polygon counts before the box around it, and a box is turned by
    its attribute `rotation`, see `box_shape`. Corners of a box that are whole numbers are px
    counted from 1 and in it, as in the devkit; with decimals they are places, as polygons have
    them.

    Raises CatalogError, which begins with `name`, for an object without the name of a class.
    """
    size = _size(root)
    marked = Marked()
    for number, entry in enumerate(root.findall("object"), 1):
        where = f"{name}, object {number}"
        label = class_name(entry.findtext("name"), where)
        marked.place(label, partial(_shape, entry, size, where))
    return marked


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """(height, width) in px, None where the file does not tell."""
    sides = [_number(root.findtext(f"size/{side}")) for side in ("height", "width")]
    height, width = (int(side) if side is not None and side >= 1 else 0 for side in sides)
    return (height, width) if height and width else None


def _shape(entry: ElementTree.Element, size: tuple[int, int] | None, where: str) -> Shape:
    polygon = entry.find("polygon")
    if polygon is not None and len(polygon):
        return Shape("polygon", [_polygon(polygon, where)], NAN, size)
    texts = [
        (entry.findtext(f"bndbox/{key}") or "").strip() for key in ("xmin", "ymin", "xmax", "ymax")
    ]
    corners = [_number(text) for text in texts]
    if any(corner is None for corner in corners):
        raise CatalogError(
            f"{where}: no box with xmin, ymin, xmax and ymax in px. Export boxes that are not "
            "turned, or polygons."
        )
    left, top, right, bottom = (corner for corner in corners if corner is not None)
    if all(re.fullmatch(r"[+-]?[0-9]+", text) for text in texts):
        left, top = left - 1, top - 1
    if right <= left or bottom <= top:
        raise CatalogError(f"{where}: a box of no width or height. Draw it, or take it out.")
    turn = next((_number(one.findtext("value")) for one in entry.findall("attributes/attribute")
                 if (one.findtext("name") or "").strip() == "rotation"), None)  # fmt: skip
    return box_shape([left, top, right - left, bottom - top], turn or 0, NAN, size)


def _polygon(polygon: ElementTree.Element, where: str) -> list[float]:
    """[x, y, x, y, ...] of children x1, y1, x2, y2, ... in any order."""
    corners: dict[tuple[int, str], float] = {}
    for child in polygon:
        match, value = CORNER.fullmatch(child.tag), _number(child.text)
        if match is None or value is None or len(match[2]) > 9:
            raise CatalogError(
                f"{where}: its polygon is not x1, y1, x2, y2 and so on in px. Export it again."
            )
        corners[int(match[2]), match[1]] = value
    numbers = [corners[key] for key in sorted(corners)]
    if len(polygon) != len(corners) or len(numbers) < LEAST_NUMBERS or any(
        {(corner, "x"), (corner, "y")} - corners.keys() for corner, _ in corners
    ):  # fmt: skip
        raise CatalogError(
            f"{where}: a polygon of {len(polygon)} numbers. It takes x and y of three corners or "
            "more."
        )
    return numbers


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in (text or "") else None
