"""The values of a mask file as whoever wrote it meant them: grey levels or numbers of any depth,
a palette, colours, alpha.

A mask whose values are not understood is refused; none is ever taken as empty for it.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from defectvision import roots
from defectvision.data.catalog import CatalogError
from defectvision.data.image_head import READERS, image_size, with_transparent_level

# Compression smears an edge over a few px and leaves noise around it: what it makes of 0 and 255
# stays near them or is thin, and is nowhere flat. Values that mean something fill areas.
DARK, BRIGHT, NEARLY_WHITE = 31, 224, 247
THIN = np.ones((5, 5), np.uint8)
FEW = 8  # values; a picture of as few has not been compressed, and small areas mean something too
LISTED = 6
PIECE = 1 << 20  # values
SPARSE = 997  # one of so many pixels is looked at first

Values = NDArray[np.integer]


def class_pixels(
    file: Path, names: dict[int, str], size: tuple[int, int]
) -> dict[str, NDArray[np.bool_]]:
    """The (H, W) bool pixels of each class of a mask file, whose numbers `names` explains.

    Raises what `mask_pixels` does, and CatalogError for a number that nobody named.
    """
    image = _opened(file, size)
    values = _numbers(image) if image.mode in ("P", "PA") else _levels(image, file.name)
    present = set(_present(values))
    if unknown := present - {0} - set(names):
        raise CatalogError(
            f"{file.name}: the mask holds {_listed(unknown)}, which classes.csv does not name. "
            "Name every number of the masks there; 0 is background."
        )
    found: dict[str, NDArray[np.bool_]] = {}
    for number, name in names.items():
        if number:
            mask = values == number
            found[name] = found[name] | mask if name in found else mask
    return found


def mask_pixels(file: Path, size: tuple[int, int], *, numbered: bool = False) -> NDArray[np.bool_]:
    """The (H, W) bool pixels that a mask file marks, where one thing is marked in it. numbered: its
    layout says that every value but 0 marks.

    Of two values the lower is background, of a picture of one value 0 is. Published masks are
    sometimes smeared by compression: above 127 counts as 255 there. Of colours black is
    background; where transparency alone tells, it is. Raises CatalogError where the file cannot
    be read, where its values could mean something else, and, before a pixel of it is decoded,
    where it is not of `size` (height, width) px: the image was decoded within the limit, so its
    mask is within it too. Raises OSError where there is no file.
    """
    levels = _levels(_opened(file, size), file.name)
    return levels > 0 if numbered else _marked(levels, file.name)


def own_size(file: Path, limit_pixels: int) -> tuple[int, int]:
    """(height, width) px of a mask by itself, where no image has been decoded that it must fit.
    Raises CatalogError where it has more than `limit_pixels` px."""
    height, width = image_size(file) or (0, 0)
    if height * width > limit_pixels:
        raise CatalogError(
            f"{file.name}: the mask is {width} x {height} px, more than "
            f"{limit_pixels / 1e6:.1f} megapixels. Scale it and its image down."
        )
    return height, width


def _opened(file: Path, size: tuple[int, int]) -> Image.Image:
    data = roots.content(file)
    stored = image_size(io.BytesIO(data))
    # A mask may lie on its side in the file, as its EXIF tells.
    if stored is not None and sorted(stored) != sorted(size):
        raise _wrong_size(file.name, stored, size)
    for reader in READERS if stored is not None else ():
        try:
            image: Image.Image = reader(io.BytesIO(data))
        except Exception:  # readers meet foreign bytes with errors of every kind
            continue
        try:
            image.load()
            image = with_transparent_level(image, data)
            image = ImageOps.exif_transpose(image)
        except Exception:  # cut off, or damaged
            break
        if (image.height, image.width) != size:
            raise _wrong_size(file.name, (image.height, image.width), size)
        return image
    raise CatalogError(f"{file.name}: the mask cannot be read. Export it as PNG again.")


def _numbers(image: Image.Image) -> Values:
    """The indices of a palette picture."""
    return np.asarray(image.getchannel(0) if image.mode == "PA" else image)


def _present(values: Values) -> list[int]:
    """The values that occur, ascending."""
    if values.dtype not in (np.uint8, np.uint16):
        return np.unique(values).tolist()
    found = np.zeros(1 << 8 * values.itemsize, bool)
    for top in range(0, values.size, PIECE):  # counting takes 8 bytes a value
        found |= np.bincount(values.reshape(-1)[top : top + PIECE], minlength=found.size) > 0
    return np.flatnonzero(found).tolist()


def _levels(image: Image.Image, name: str) -> Values:
    """One number a pixel: grey levels as they are stored, or 255 where a colour or alpha marks."""
    if image.mode == "1":
        return np.asarray(image).astype(np.uint8) * np.uint8(255)
    if image.mode in ("P", "PA"):
        return _palette_levels(image, name)
    if image.mode in ("L", "I") or image.mode.startswith("I;16"):
        grey = _numbers(image)
        clear = image.info.get("transparency")  # the grey that is seen through
        if clear is None:
            return grey
        return _with_alpha(grey[..., None], (grey != clear) * np.uint8(255), name)
    if image.mode == "F":
        raise CatalogError(f"{name}: a mask of floating values. Export it as 8-bit PNG.")
    bands = np.asarray(image if image.mode == "LA" else image.convert("RGBA"))
    return _with_alpha(bands[..., :-1], bands[..., -1], name)


def _palette_levels(image: Image.Image, name: str) -> Values:
    """A palette by its colours, unless it gives two indices that occur the same colour."""
    numbers = _numbers(image)
    bands = np.asarray(image.convert("RGBA"))
    used = _present(numbers)
    if len(np.unique(bands.view(np.uint32))) < len(used):
        return numbers
    return _with_alpha(bands[..., :3], bands[..., 3], name)


def _with_alpha(bands: Values, alpha: NDArray[np.integer], name: str) -> Values:
    """Grey levels of `bands` (H, W, 1 or 3) under `alpha` (H, W)."""
    levels = _one_level(bands, name)
    if alpha.min() == alpha.max():
        return levels
    opaque = alpha > 127
    seen = np.where(opaque, levels, 0)
    if seen.max() == 0 or len(_present(levels[opaque])) == 1:
        return opaque * np.uint8(255)  # drawn with one pen on nothing
    if ((seen > 0) & opaque).sum() not in (opaque.sum(), (levels > 0).sum()):
        raise CatalogError(
            f"{name}: the mask's colours and its transparency mark different places. Export it "
            "without transparency."
        )
    return seen


def colour_codes(bands: Values) -> NDArray[np.uint32]:
    """(...) 0xRRGGBB of (..., 3) colours of 0 to 255."""
    codes = bands[..., 0].astype(np.uint32)
    for band in (bands[..., 1], bands[..., 2]):
        codes <<= np.uint32(8)
        codes |= band
    return codes


def _one_level(bands: Values, name: str) -> Values:
    if bands.shape[-1] == 1 or (bands == bands[..., :1]).all():
        return bands[..., 0]
    codes = colour_codes(bands)
    for every in (SPARSE, 1):  # a photograph is told by a few of its pixels
        colours = np.unique(codes.reshape(-1)[::every])
        drawn = colours[colours > 0]
        if len(drawn) > 1:
            break
    if len(drawn) > 1:
        shown = ", ".join(f"#{code:06x}" for code in drawn[:LISTED].tolist())
        raise CatalogError(
            f"{name}: the mask holds several colours ({shown}), and which of them marks the "
            "defect is not known. Export one class a mask in black and white, or numbers that "
            "classes.csv names."
        )
    return (codes > 0) * np.uint8(255)


def _marked(values: Values, name: str) -> NDArray[np.bool_]:
    present = _present(values)
    if len(present) == 1:
        return np.full(values.shape, bool(present[0]))
    if len(present) == 2 and present[0] == 0:
        return values > 0
    deepest = 65535 if present[-1] > 255 else 255
    grey = (values.clip(0, deepest).astype(np.uint32) * 255 // deepest).astype(np.uint8)
    if present[0] < 0 or not _is_smeared(grey):
        raise CatalogError(
            f"{name}: the mask holds the values {_listed(present)}, and what they mean "
            "is not known. Export 0 and 255, or name the numbers in classes.csv beside the images."
        )
    return grey > 127


def _is_smeared(grey: NDArray[np.uint8]) -> bool:
    """Whether (H, W) grey levels are what compression makes of black and white."""
    if grey.min() > DARK or grey.max() <= 127:
        return False
    between = ((grey > DARK) & (grey < BRIGHT)).astype(np.uint8)
    around = np.ones((3, 3) if len(_present(grey)) <= FEW else (5, 5), np.uint8)
    flat = cv2.erode(grey, around) == cv2.dilate(grey, around)
    odd = flat & (grey > 0) & (grey < NEARLY_WHITE)
    return not odd.any() and not cv2.erode(between, THIN).any()


def _listed(values: set[int] | list[int]) -> str:
    """The first few numbers, for a message."""
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:LISTED])) + (", ..." if len(ordered) > LISTED else "")


def _wrong_size(name: str, mask: tuple[int, int], image: tuple[int, int]) -> CatalogError:
    return CatalogError(
        f"{name}: the mask is {mask[1]} x {mask[0]} px, the image {image[1]} x {image[0]} px. "
        "Export the mask at the image's size."
    )
