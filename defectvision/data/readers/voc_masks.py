"""Segmentations of Pascal VOC: a picture whose colours or numbers are the classes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from defectvision import roots
from defectvision.data.catalog import CatalogError
from defectvision.data.mask_files import colour_codes
from defectvision.data.readers.annotated import Marked, class_name
from defectvision.data.readers.coco_shapes import Shape
from defectvision.data.readers.set_files import SetFiles, read_text
from defectvision.data.rle.severstal import encode_rle
from defectvision.limits import PIXELS

LARGEST_LIST = 1024 * 1024
BACKGROUND = frozenset({"background", "_background_", "__background__"})
VOID, VOID_COLOUR = 255, (224, 224, 192)
LISTED = 6
MODES = ("1", "L", "P", "RGB", "RGBA")
# fmt: off
VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class MaskClasses:
    """What the pixels of a segmentation mean: `colours` by name, or, where the numbers of a
    palette or of grey levels count, `numbers`. file: who says so."""

    file: str
    colours: dict[Colour, str] | None = None
    numbers: dict[int, str] | None = None


def read_classes(files: SetFiles) -> MaskClasses:
    """The classes as `labelmap.txt` or `class_names.txt` tell them, else VOC's own twenty. Raises
    CatalogError for such a file that cannot be read."""
    texts = files.of(".txt")
    for name, read in (("labelmap.txt", _labelmap), ("class_names.txt", _class_names)):
        for file in (file for file in texts if file.name.casefold() == name):
            return read(file, read_text(files.root / file, LARGEST_LIST, file))
    names = dict(enumerate(VOC_CLASSES, 1))
    return MaskClasses("", {_voc_colour(number): name for number, name in names.items()})


def _labelmap(file: PurePosixPath, text: str) -> MaskClasses:
    """CVAT's lines of `label:red,green,blue:parts:actions`."""
    colours: dict[Colour, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        where = f"{file}, line {number}"
        name, *rest = line.rsplit(":", 3)
        parts = rest[0].split(",") if len(rest) == 3 else []
        if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) < 256
                                      for part in parts):  # fmt: skip
            raise CatalogError(f"{where}: not label:red,green,blue:parts:actions. Export it again.")
        red, green, blue = map(int, parts)
        label = class_name(name, where)
        if label.casefold() in BACKGROUND:
            label = ""
        first = colours.setdefault((red, green, blue), label)
        if first != label or (label and not any((red, green, blue))):
            raise CatalogError(
                f"{where}: {label or 'background'!r} has the colour of "
                f"{first if first != label else 'background'!r}. Give it another and export again."
            )
    return MaskClasses(str(file), {colour: name for colour, name in colours.items() if name})


def _class_names(file: PurePosixPath, text: str) -> MaskClasses:
    """LabelMe's export: a name a line, counted from 0, the background."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    names = [name for name in lines if name != "__ignore__"]
    return MaskClasses(
        str(file),
        numbers={
            number: class_name(name, f"{file}, line {number + 1}")
            for number, name in enumerate(names)
            if number
        },
    )


def _voc_colour(number: int) -> Colour:
    """Of VOC's palette: the bits of the number in turns for red, green and blue, highest first."""
    red = green = blue = 0
    for place in range(7, -1, -1):
        red |= (number & 1) << place
        green |= (number >> 1 & 1) << place
        blue |= (number >> 2 & 1) << place
        number >>= 3
    return red, green, blue


def marked_in(file: Path, name: str, classes: MaskClasses) -> Marked:
    """What a segmentation, called `name` in messages, marks: a run length a class. Border pixels,
    which VOC gives to nobody, are background. Raises CatalogError where it cannot be read and for
    a colour or a number that has no name."""
    marked = Marked()
    for label, mask in _areas(_opened(file, name), name, classes):
        size = (mask.shape[0], mask.shape[1])
        marked.places.append((label, Shape("rle", encode_rle(mask), float(mask.sum()), size)))
    return marked


def _opened(file: Path, name: str) -> Image.Image:
    try:
        image = PngImagePlugin.PngImageFile(io.BytesIO(roots.content(file)))
        if image.width * image.height > PIXELS:
            raise CatalogError(f"{name}: {image.width} x {image.height} px. Export it smaller.")
        if image.mode not in MODES:
            raise CatalogError(f"{name}: neither a palette nor colours of 8 bits. Export it so.")
        image.load()
        return ImageOps.exif_transpose(image)
    except CatalogError:
        raise
    except Exception as error:  # readers meet foreign bytes with errors of every kind
        raise CatalogError(f"{name}: the mask cannot be read. Export it as PNG again.") from error


def _areas(
    image: Image.Image, name: str, classes: MaskClasses
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """(label, (H, W) bool) of each class that has a pixel."""
    if classes.numbers is not None:
        if image.mode not in ("P", "L"):
            raise CatalogError(f"{name}: no numbers of {classes.file}. Export it with a palette.")
        codes = np.asarray(image)
        named, nobody = classes.numbers, {0, VOID}
    else:
        codes = colour_codes(np.asarray(image.convert("RGB")))
        named = {_code(colour): text for colour, text in (classes.colours or {}).items()}
        nobody = {0, _code(VOID_COLOUR)}
        if image.mode == "P":  # whatever colour the border has
            border = np.asarray(image) == VOID
            codes[border & ~np.isin(codes, list(named))] = 0
    present = np.unique(codes).tolist()
    if unknown := [code for code in present if code not in named and code not in nobody]:
        form = "{}" if classes.numbers is not None else "#{:06x}"
        shown = ", ".join(form.format(code) for code in unknown[:LISTED])
        raise CatalogError(
            f"{name}: the mask holds {shown}, which {classes.file or 'the list of VOC'} does not "
            "name. Name each colour in a labelmap.txt, label:red,green,blue:: a line."
        )
    for label in dict.fromkeys(named[code] for code in present if code in named):
        mine = [code for code in present if named.get(code) == label]
        yield label, np.isin(codes, mine)


def _code(colour: Colour) -> int:
    return int.from_bytes(bytes(colour), "big")
