"""Uploaded bytes to pixels: hostile until decoded within limits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

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

from defectvision.data.image_head import with_transparent_level
from defectvision.inference.decode_memory import bytes_needed, check_bytes, decoding
from defectvision.inference.depth import Depth, is_wide_colour, narrow_colour, narrow_grey
from defectvision.inference.image_error import ImageError, Refusal
from defectvision.inference.jpeg import JpegFrame, check_jpeg
from defectvision.inference.kinds import COPY_AGAIN, reader_of
from defectvision.inference.png import (
    check_png_end,
    check_png_rows,
    png_orientation,
    significant_bits,
    without_texts,
)
from defectvision.inference.strips import grey_or_rgb
from defectvision.inference.tiff import check_tiff
from defectvision.inference.webp import check_webp_end, webp_pixels, webp_size
from defectvision.inference.whole import bitmap_segment, check_blank_end, check_jpeg_end
from defectvision.limits import PIXELS

__all__ = ["ImageError", "decode_image", "decode_reduced"]

MIN_SIDE = 16
# Every pass over a progressive JPEG costs the whole image again; real ones have about ten.
LIMIT_JPEG_SCANS = 100
LIMIT_SCANNED_PIXELS = 400_000_000  # of all scans together

# Pillow warns about odd metadata, which does not concern the pixels. Set once on import, because
# warnings.catch_warnings() around each decoding is not safe between threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")
# Pillow's limit is one for the whole process, and only some of its readers ask it. The limit that
# is handed in here holds for every format, and is checked before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


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
            _check_size(*webp_size(data), limit_pixels, min_side)
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
            by = 1
            if frame is not None and _orientation(image, data) == 1:
                by = reduction(image.size[::-1])
            needed = bytes_needed(image, frame, data, by)
            check_bytes(needed, image.size, limit_pixels)
            if frame is not None:
                _check_scans(image, data, frame)
            with decoding(name, needed, kept=3 * image.width * image.height // by**2):
                return _pixels(image, data, by, Depth(tagged, bits), frame, ended)
    except ImageError:  # its turn did not come
        raise
    except Refusal as refused:
        raise ImageError(name, refused.reason, refused.remedy) from None
    # Decoders meet hostile bytes with errors of every kind (struct, zlib, SyntaxError, ...).
    except Exception as error:
        if any(said in str(error) for said in _UNUSUAL):
            reason = "a TIFF whose samples are laid out in an unusual way"
            raise ImageError(name, reason, "Export it as RGB or grey of 8 bits.") from error
        what = str(error) or type(error).__name__
        if isinstance(error, SyntaxError):  # Pillow's word for a header it cannot read
            what = "its header cannot be read"
        raise ImageError(name, f"damaged or cut off ({what})", COPY_AGAIN) from error


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


def _check_scans(image: ImageFile.ImageFile, data: bytes, frame: JpegFrame) -> None:
    scans, (width, height) = data.count(b"\xff\xda"), image.size
    passes = 1 if frame.has_one_scan(data) else scans
    if scans > LIMIT_JPEG_SCANS or passes * width * height > LIMIT_SCANNED_PIXELS:
        raise Refusal("a JPEG of too many scans", "Save it as an ordinary JPEG or PNG.")


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
    by: int,
    depth: Depth,
    frame: JpegFrame | None,
    ended: int,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    if isinstance(image, JpegImagePlugin.JpegImageFile) and frame is not None:
        stored = image.size[::-1]
        pixels = _decoded_by_opencv(image, data, by)
        if pixels is None and by > 1:
            pixels, by = _decoded_by_opencv(image, data), 1
        if pixels is not None:
            check_jpeg_end(image, data, frame, pixels, by)
            return (pixels, stored) if by > 1 else _turned(pixels, _orientation(image, data))
        image.load()
        check_jpeg_end(image, data, frame, image)
    if isinstance(image, WebPImagePlugin.WebPImageFile):
        return _turned(webp_pixels(image, data, ended), _orientation(image, data))
    if is_wide_colour(image):
        pixels = narrow_colour(image, data, depth)
        _check_rows(image, data, pixels)
        # OpenCV turns a TIFF upright whatever it is asked
        tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
        return _turned(pixels, 1 if tiff else _orientation(image, data))
    image.load()
    if image.mode.startswith("I;16"):
        white_is_zero = isinstance(image, TiffImagePlugin.TiffImageFile) and (
            image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        )
        transparent = image.info.get("transparency")
        pixels = narrow_grey(np.asarray(image), white_is_zero, depth, transparent)
    else:
        pixels = grey_or_rgb(with_transparent_level(image, data))
    _check_rows(image, data, pixels)
    # Pillow turns a TIFF upright by itself, and forgets the tag
    return _turned(pixels, _orientation(image, data))


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


# What Pillow says of a TIFF that is sound, see `check_tiff`, and that it has no table for.
_UNUSUAL = ("unknown pixel mode", "unknown raw mode")
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


def _orientation(image: ImageFile.ImageFile, data: bytes) -> int:
    """EXIF's; unreadable EXIF counts as none."""
    try:
        if isinstance(image, PngImagePlugin.PngImageFile):
            return png_orientation(data)
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
