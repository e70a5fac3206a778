"""Uploaded bytes to pixels: hostile until decoded within limits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from defectvision.inference.depth import sample_bits
from defectvision.inference.image_error import ImageError, Refusal
from defectvision.inference.jpeg import JpegFrame, check_jpeg
from defectvision.inference.kinds import COPY_AGAIN, reader_of
from defectvision.inference.png import (
    check_png_end,
    check_png_rows,
    significant_bits,
    without_texts,
)
from defectvision.inference.tiff import check_tiff
from defectvision.inference.whole import (
    bitmap_segment,
    check_blank_end,
    check_jpeg_end,
    check_webp_end,
    check_webp_zeros,
)
from defectvision.limits import PIXELS

__all__ = ["ImageError", "decode_image", "decode_reduced"]

MIN_SIDE = 16
# Every pass over a progressive JPEG costs the whole image again; real ones have about ten.
LIMIT_JPEG_SCANS = 100

# Pillow warns about odd metadata, which does not concern the pixels. Set once on import, because
# warnings.catch_warnings() around each decoding is not safe between threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")
# Pillow's limit is one for the whole process, and only some of its readers ask it. The limit that
# is handed in here holds for every format, and is checked before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


class Depth(NamedTuple):
    """The bits of a sample, where they are known: what the file and what the line states."""

    tagged: int | None
    stated: int | None


def decode_image(
    data: bytes,
    name: str,
    limit_pixels: int = PIXELS,
    min_side: int = MIN_SIDE,
    bits: int | None = None,
) -> NDArray[np.uint8]:
    """Decode one BMP, JPEG, PNG, TIFF or WebP file to (H, W) uint8 grey or (H, W, 3) uint8 RGB.

    Only `data` is looked at; `name` is for messages. Format and size are read and checked before
    any pixel is decoded. EXIF orientation is applied. What is converted, and how:

    - 16 bits a channel, grey or colour: the whole range of the camera to 0..255. The range is what
      the file states (PNG sBIT, TIFF MaxSampleValue), else `bits`, which the line states; see
      `depth.sample_bits`.
    - alpha: blended over white; dropped where it is the same everywhere (all 255, or the all 0
      that careless writers leave).
    - 1-bit and grey palettes become grey, colour palettes RGB, CMYK RGB (in a JPEG: Adobe's
      inverted CMYK). Colour profiles and gamma are not applied.

    Raises ImageError for everything else: other formats, damaged or truncated files, more than
    `limit_pixels` px, a side under `min_side` px, several pages, views or frames, files whose
    first picture is a preview, samples that are packed, signed, floating or of 32 bits, and 16-bit
    samples of unknown range. docs/image-files.md lists what is read and what is refused.
    """
    return decode_reduced(data, name, lambda _size: 1, limit_pixels, min_side, bits)[0]


def decode_reduced(
    data: bytes,
    name: str,
    reduction: Callable[[tuple[int, int]], int],
    limit_pixels: int,
    min_side: int = MIN_SIDE,
    bits: int | None = None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `decode_image`, but an ordinary upright JPEG at 1/2, 1/4 or 1/8 of its sides where
    `reduction` of its (height, width) says 2, 4 or 8; that takes a fraction of the time. Returns
    the pixels and the (height, width) px of the whole image.

    Pixel i of a side shows the whole image's pixels r * i to r * i + r - 1, with r the reduction.
    """
    try:
        reader = reader_of(data)
        tagged, frame, ended = None, None, 0
        if reader is WebPImagePlugin.WebPImageFile:
            # Pillow's WebP reader lays out the canvas as soon as it opens
            _check_size(*_webp_size(data), limit_pixels, min_side)
            ended = check_webp_end(data)
        elif reader is JpegImagePlugin.JpegImageFile:
            frame = check_jpeg(data)
        elif reader is PngImagePlugin.PngImageFile:
            tagged, data = significant_bits(data), without_texts(data)
        elif reader is TiffImagePlugin.TiffImageFile:
            tagged = check_tiff(data)
        # The reader itself instead of Image.open, and without the file's name: given one, Pillow
        # maps the file of that name into memory instead of the bytes that it was given.
        with reader(io.BytesIO(data)) as image:
            _check_size(*image.size, limit_pixels, min_side)
            _check_frames(image, limit_pixels)
            if isinstance(image, PngImagePlugin.PngImageFile):
                check_png_end(data)
            elif isinstance(image, BmpImagePlugin.BmpImageFile):
                check_blank_end(data, bitmap_segment(image, data))
            elif ended:
                check_webp_zeros(data, ended, np.asarray(image))
            return _pixels(image, data, reduction, Depth(tagged, bits), frame)
    except Refusal as refused:
        raise ImageError(name, refused.reason, refused.remedy) from None
    except SyntaxError as error:  # Pillow's word for a header it cannot read
        raise ImageError(
            name, "damaged or cut off (its header cannot be read)", COPY_AGAIN
        ) from error
    # Decoders meet hostile bytes with errors of every kind (struct, zlib, SyntaxError, ...).
    except Exception as error:
        reason = f"damaged or cut off ({str(error) or type(error).__name__})"
        raise ImageError(name, reason, COPY_AGAIN) from error


def _check_size(width: int, height: int, limit_pixels: int, min_side: int) -> None:
    if width * height > limit_pixels:
        raise Refusal(
            f"{width} x {height} px are {width * height / 1e6:.1f} megapixels, more than "
            f"{limit_pixels / 1e6:.1f}",
            "Crop the image to the part, scale it down, or raise DEFECTVISION_MAX_MEGAPIXELS.",
        )
    if min(width, height) < min_side:
        raise Refusal(
            f"{width} x {height} px are too small to show a part",
            f"Each side needs at least {min_side} px.",
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas (width, height) of a WebP file, from its first chunk (RFC 9649)."""
    if len(data) < 30:
        raise Refusal("damaged or cut off (WebP header)", COPY_AGAIN)
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _check_frames(image: ImageFile.ImageFile, limit_pixels: int) -> None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its pages: see check_tiff
        tile = image.tag_v2.get(TiffImagePlugin.TILEWIDTH, 1), image.tag_v2.get(323, 1)
        if tile[0] * tile[1] > 4 * limit_pixels:
            raise Refusal(f"tiles of {tile[0]} x {tile[1]} px", "Save it without tiles.")
    elif getattr(image, "n_frames", 1) > 1:
        raise Refusal("an animation", "Save the frame to inspect as an image.")


def _pixels(
    image: ImageFile.ImageFile,
    data: bytes,
    reduction: Callable[[tuple[int, int]], int],
    depth: Depth,
    frame: JpegFrame | None,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    if isinstance(image, JpegImagePlugin.JpegImageFile) and frame is not None:
        if data.count(b"\xff\xda") > LIMIT_JPEG_SCANS:
            raise Refusal("a JPEG of too many scans", "Save it as an ordinary JPEG or PNG.")
        orientation, stored = _orientation(image), image.size[::-1]
        if orientation == 1 and (by := reduction(stored)) > 1:
            pixels = _decoded_by_opencv(image, data, by)
            if pixels is not None:
                check_jpeg_end(image, data, frame, pixels, by)
                return pixels, stored
        pixels = _decoded_by_opencv(image, data)
        if pixels is None:
            image.load()
            check_jpeg_end(image, data, frame, np.asarray(image))
        else:
            check_jpeg_end(image, data, frame, pixels)
            pixels = _upright(pixels, orientation)
            return pixels, pixels.shape[:2]
    if any(";16" in str(tile.args) for tile in image.tile) and not image.mode.startswith("I"):
        # Read before Pillow loads the pixels: it turns a TIFF upright and forgets the tag.
        orientation = _orientation(image)
        pixels = np.asarray(_grey_or_rgb(_wide_colour(image, data, depth)))
        _check_rows(image, data, pixels)
        return _turned(pixels, orientation)
    image.load()
    if image.mode.startswith("I;16"):
        white_is_zero = isinstance(image, TiffImagePlugin.TiffImageFile) and (
            image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        )
        pixels = _from_16_bit(np.asarray(image), white_is_zero, depth)
    else:
        pixels = np.asarray(_grey_or_rgb(image))
    _check_rows(image, data, pixels)
    # Pillow turns a TIFF upright by itself, and forgets the tag
    return _turned(pixels, _orientation(image))


def _check_rows(image: ImageFile.ImageFile, data: bytes, pixels: NDArray[np.uint8]) -> None:
    """Raises Refusal for a PNG of which rows are missing: the last one is of one colour then, black
    but for palettes and alpha; of an interlaced file, any may be missing."""
    if not isinstance(image, PngImagePlugin.PngImageFile):
        return
    last = pixels[-1]
    one_colour = (last == last[0]).all() and (image.mode not in _PLAIN or not last[0].any())
    if one_colour or image.info.get("interlace"):
        check_png_rows(data)


def _turned(
    pixels: NDArray[np.uint8], orientation: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    pixels = _upright(pixels, orientation)
    return pixels, pixels.shape[:2]


def _wide_colour(image: ImageFile.ImageFile, data: bytes, depth: Depth) -> Image.Image:
    """An image of 16 bits a channel with colour or alpha, at 8 bits: Pillow would take the upper
    half of each sample, whatever the camera's range."""
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    values = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if values is None:
        raise ValueError("its samples cannot be read")
    if values.dtype != np.uint16 or values.shape[1::-1] != image.size or values.ndim != 3:
        raise Refusal(
            f"{image.mode} of 16 bits a channel, laid out in an unusual way",
            "Export it with 8 bits a channel.",
        )
    order = cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB
    values = cv2.cvtColor(values, order)
    bits = sample_bits(values[:, :, :3], depth.tagged, depth.stated)
    narrow = (values >> 8).astype(np.uint8)
    if bits < 16:
        narrow[:, :, :3] = cv2.convertScaleAbs(
            np.ascontiguousarray(values[:, :, :3]), alpha=255 / ((1 << bits) - 1)
        )
        if values.shape[2] == 4 and not values[:, :, 3].max() >> bits:
            narrow[:, :, 3] = cv2.convertScaleAbs(
                np.ascontiguousarray(values[:, :, 3]), alpha=255 / ((1 << bits) - 1)
            )
    wide = Image.fromarray(narrow)
    if image.mode in ("L", "LA"):
        return wide.convert("LA" if values.shape[2] == 4 else "L")
    return wide


def _decoded_by_opencv(
    image: ImageFile.ImageFile, data: bytes, reduction: int = 1
) -> NDArray[np.uint8] | None:
    """An ordinary JPEG: the same pixels as Pillow's in 60-85 % of the time. None: ask Pillow.

    Both refuse a truncated file; for PNG there is no gain.
    """
    if image.mode not in _OPENCV_FLAGS:
        return None
    flags = _OPENCV_FLAGS[image.mode][reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    # The limits hold for the header that was checked: both libraries must have read the same.
    expected = tuple(-(-side // reduction) for side in image.size)
    if pixels is None or pixels.shape[1::-1] != expected:
        return None
    return pixels if pixels.ndim == 2 or reduction == 1 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


_PLAIN = {"1", "L", "RGB", "I;16", "I;16B"}
_OPENCV_FLAGS = {
    "L": {
        1: cv2.IMREAD_GRAYSCALE,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    },
    "RGB": {
        1: cv2.IMREAD_COLOR_RGB,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    },
}


def _from_16_bit(
    values: NDArray[np.uint16], white_is_zero: bool, depth: Depth
) -> NDArray[np.uint8]:
    values = np.ascontiguousarray(values, np.uint16)
    top = (1 << sample_bits(values, depth.tagged, depth.stated)) - 1
    if white_is_zero:
        values = top - values
    return cv2.convertScaleAbs(values, alpha=255 / top)


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    """Mode L or RGB from any mode a reader gives, alpha blended over white."""
    if image.mode in ("F", "I", "LAB"):
        what = {"F": "32-bit float grey", "I": "32-bit integer grey", "LAB": "L*a*b* colour"}
        raise Refusal(
            f"{what[image.mode]}, whose range of values is not known",
            "Export it with 8 or 16 bits a channel.",
        )
    palette = image.getpalette("RGB") if image.mode in ("P", "PA") else None
    grey = image.mode in ("1", "L", "LA", "La") or (
        palette is not None and palette[0::3] == palette[1::3] == palette[2::3]
    )
    if not image.has_transparency_data:
        return image.convert("L" if grey else "RGB")
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    image = image.convert("RGB")
    if grey:
        image = image.getchannel("R")
    low, high = alpha.getextrema()
    if low == high and low in (0, 255):
        return image
    white = Image.new(image.mode, image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF's; unreadable EXIF counts as none."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # metadata as hostile as the rest
        return 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
