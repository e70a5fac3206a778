"""Uploaded bytes to pixels: hostile until decoded within limits."""

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

from defectvision.limits import PIXELS

MIN_SIDE = 16
_COPY_AGAIN = "Copy or export the image again."
FORMATS = "BMP, JPEG, PNG, TIFF or WebP"
# Every pass over a progressive JPEG costs the whole image again; real ones have about ten.
LIMIT_JPEG_SCANS = 100

# Pillow warns about odd metadata, which does not concern the pixels. Set once on import, because
# warnings.catch_warnings() around each decoding is not safe between threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.\w+ImagePlugin")
# Pillow's limit is one for the whole process, and only some of its readers ask it. The limit that
# is handed in here holds for every format, and is checked before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


class ImageError(ValueError):
    """An image that cannot be inspected: which, why, and what to do about it."""

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}. {remedy}")
        self.name, self.reason, self.remedy = name, reason, remedy

    def __reduce__(self) -> tuple[type["ImageError"], tuple[str, str, str]]:
        return ImageError, (self.name, self.reason, self.remedy)


class _RefusedError(Exception):
    """Reason and remedy, raised where the image's name is not at hand."""


def decode_image(
    data: bytes, name: str, limit_pixels: int = PIXELS, min_side: int = MIN_SIDE
) -> NDArray[np.uint8]:
    """Decode one BMP, JPEG, PNG, TIFF or WebP file to (H, W) uint8 grey or (H, W, 3) uint8 RGB.

    Format and size are read and checked before any pixel is decoded. EXIF orientation is applied.
    What is converted, and how:

    - 16-bit grey: 0..65535 to 0..255; where no value exceeds 4095, 0..4095 is (12-bit cameras).
      16-bit colour keeps the upper 8 bits, and is refused where only the lower 12 are used.
    - alpha: blended over white; dropped where it is the same everywhere (all 255, or the all 0
      that careless writers leave).
    - 1-bit and grey palettes become grey, colour palettes RGB, CMYK RGB (in a JPEG: Adobe's
      inverted CMYK). Colour profiles and gamma are not applied.

    Raises ImageError for everything else: other formats, damaged or truncated files, more than
    `limit_pixels` px, a side under `min_side` px, several pages or frames (a TIFF whose second
    page is a reduced copy is read), 32-bit integer and float grey.
    """
    return decode_reduced(data, name, lambda _size: 1, limit_pixels, min_side)[0]


def decode_reduced(
    data: bytes,
    name: str,
    reduction: Callable[[tuple[int, int]], int],
    limit_pixels: int,
    min_side: int = MIN_SIDE,
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `decode_image`, but an ordinary upright JPEG at 1/2, 1/4 or 1/8 of its sides where
    `reduction` of its (height, width) says 2, 4 or 8; that takes a fraction of the time. Returns
    the pixels and the (height, width) px of the whole image.

    Pixel i of a side shows the whole image's pixels r * i to r * i + r - 1, with r the reduction.
    """
    try:
        plugin = _plugin(data)
        if plugin is WebPImagePlugin.WebPImageFile:
            # Pillow's WebP reader lays out the canvas as soon as it opens
            _check_size(*_webp_size(data), limit_pixels, min_side)
        # The plugin itself instead of Image.open: that has one limit for the whole process
        with plugin(io.BytesIO(data), name) as image:
            _check_size(*image.size, limit_pixels, min_side)
            _check_frames(image, limit_pixels)
            return _pixels(image, data, reduction)
    except _RefusedError as refused:
        raise ImageError(name, *refused.args) from None
    except SyntaxError as error:  # Pillow's word for a header it cannot read
        raise ImageError(
            name, "damaged or cut off (its header cannot be read)", _COPY_AGAIN
        ) from error
    # Decoders meet hostile bytes with errors of every kind (struct, zlib, SyntaxError, ...).
    except Exception as error:
        reason = f"damaged or cut off ({str(error) or type(error).__name__})"
        raise ImageError(name, reason, _COPY_AGAIN) from error


_SIGNATURES: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"II*\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0*", TiffImagePlugin.TiffImageFile),
    (b"II+\0", TiffImagePlugin.TiffImageFile),
    (b"MM\0+", TiffImagePlugin.TiffImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
)
_FOREIGN = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
)


def _plugin(data: bytes) -> type[ImageFile.ImageFile]:
    """Pillow's reader by the first bytes; the name's suffix says nothing."""
    if not data:
        raise _RefusedError("an empty file", _COPY_AGAIN)
    for signature, plugin in _SIGNATURES:
        if data.startswith(signature):
            return plugin
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    remedy = f"Save it as {FORMATS}."
    for signature, what in _FOREIGN:
        if data.startswith(signature):
            raise _RefusedError(what, remedy)
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace").strip()
        raise _RefusedError(f"a HEIC, AVIF or video file ({brand!r})", remedy)
    if data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise _RefusedError(
            "a web page or other text with tags", "Download the image itself, not its page."
        )
    raise _RefusedError("not an image of a known format", remedy)


def _check_size(width: int, height: int, limit_pixels: int, min_side: int) -> None:
    if width * height > limit_pixels:
        raise _RefusedError(
            f"{width} x {height} px are {width * height / 1e6:.1f} megapixels, more than "
            f"{limit_pixels / 1e6:.1f}",
            "Crop the image to the part, or scale it down.",
        )
    if min(width, height) < min_side:
        raise _RefusedError(
            f"{width} x {height} px are too small to show a part",
            f"Each side needs at least {min_side} px.",
        )


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas (width, height) of a WebP file, from its first chunk (RFC 9649)."""
    if len(data) < 30:
        raise _RefusedError("damaged or cut off (WebP header)", _COPY_AGAIN)
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    sides = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _check_frames(image: ImageFile.ImageFile, limit_pixels: int) -> None:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tile = image.tag_v2.get(TiffImagePlugin.TILEWIDTH, 1), image.tag_v2.get(323, 1)
        if tile[0] * tile[1] > 4 * limit_pixels:
            raise _RefusedError(f"tiles of {tile[0]} x {tile[1]} px", "Save it without tiles.")
        try:
            image.seek(1)
        except EOFError:
            return
        reduced = int(image.tag_v2.get(254, 0)) & 1  # NewSubfileType: a smaller copy of page one
        image.seek(0)
        if not reduced:
            raise _RefusedError("a TIFF of several pages", "Save each page as an image of its own.")
    elif getattr(image, "n_frames", 1) > 1:
        raise _RefusedError("an animation", "Save the frame to inspect as an image.")


def _pixels(
    image: ImageFile.ImageFile, data: bytes, reduction: Callable[[tuple[int, int]], int]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        if data.count(b"\xff\xda") > LIMIT_JPEG_SCANS:
            raise _RefusedError("a JPEG of too many scans", "Save it as an ordinary JPEG or PNG.")
        orientation, stored = _orientation(image), image.size[::-1]
        if orientation == 1 and (by := reduction(stored)) > 1:
            pixels = _decoded_by_opencv(image, data, by)
            if pixels is not None:
                return pixels, stored
        pixels = _decoded_by_opencv(image, data)
        if pixels is not None:
            pixels = _upright(pixels, orientation)
            return pixels, pixels.shape[:2]
    wide = any(";16" in str(tile.args) for tile in image.tile)
    image.load()
    if image.mode.startswith("I;16"):
        white_is_zero = isinstance(image, TiffImagePlugin.TiffImageFile) and (
            image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
        )
        pixels = _from_16_bit(np.asarray(image), white_is_zero)
    else:
        pixels = np.asarray(_grey_or_rgb(image))
        if wide and pixels.size and pixels.max() < 16:
            raise _RefusedError(
                "16-bit colour that uses only the lower 12 bits", "Export it with 8 bits a channel."
            )
    # Pillow turns a TIFF upright by itself, and forgets the tag
    pixels = _upright(pixels, _orientation(image))
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


def _from_16_bit(values: NDArray[np.uint16], white_is_zero: bool) -> NDArray[np.uint8]:
    top = 4095 if values.max() < 4096 else 65535
    values = np.ascontiguousarray(values, np.uint16)
    if white_is_zero:
        values = top - values
    return cv2.convertScaleAbs(values, alpha=255 / top)


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    """Mode L or RGB from any mode a reader gives, alpha blended over white."""
    if image.mode in ("F", "I", "LAB"):
        what = {"F": "32-bit float grey", "I": "32-bit integer grey", "LAB": "L*a*b* colour"}
        raise _RefusedError(
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
