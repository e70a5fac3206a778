"""Files that are no image, or a damaged, endless or hostile one: refused in words, never drawn."""

from __future__ import annotations

import copy
import pickle
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defectvision.inference.images import ImageError, decode_image
from defectvision.limits import PIXELS
from tests.stand_ins.image_files import GREY, RGB, SIXTEEN, grey, palette_image, rgb, saved

# pytest resets the filter that the module sets
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds almost nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes(40)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(grey("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff_of_tiles(side: int) -> bytes:
    """A TIFF of 32 x 32 px that says that its tiles are much larger."""
    values = {
        256: 32,
        257: 32,
        258: 8,
        259: 5,
        262: 1,
        277: 1,
        322: side,
        323: side,
        324: 8,
        325: 9,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)


def pages() -> bytes:
    page = Image.fromarray(GREY)
    return saved(page, "TIFF", save_all=True, append_images=[page])


def frames(kind: str) -> bytes:
    images = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    return saved(images[0], kind, save_all=True, append_images=images[1:], duration=50)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"\0", "not an image of a known format"),
        (b"hello, world", "not an image of a known format"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"\xef\xbb\xbf \n<svg xmlns='http://www.w3.org/2000/svg'/>", "a web page"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04rest of an archive", "a zip archive"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "a HEIC, AVIF or video file ('heic')"),
        (rgb("GIF"), "a GIF"),
        (saved(Image.fromarray(GREY[:1, :1]), "PNG"), "1 x 1 px are too small"),
        (saved(Image.fromarray(GREY[:, :15]), "PNG"), "15 x 24 px are too small"),
        (png_header(50_000, 50_000), "50000 x 50000 px are 2500.0 megapixels, more than 64.0"),
        (png_header(0, 40), "damaged or cut off (its header cannot be read)"),
        (webp_header(16_000, 16_000), "16000 x 16000 px are 256.0 megapixels"),
        (jpeg_of_size(12_000, 10_000), "12000 x 10000 px are 120.0 megapixels"),
        (png_header(4000, 4000), "damaged or cut off"),
        (tiff_of_tiles(60_000), "tiles of 60000 x 60000 px"),
        (pages(), "a TIFF of several pages"),
        (frames("PNG"), "an animation"),
        (frames("WEBP"), "an animation"),
        (saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"), "32-bit float grey"),
        (saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"), "32-bit integer grey"),
        (grey("JPEG") + b"\xff\xda" * 100, "a JPEG of too many scans"),
        (b"RIFF\0\0\0\0WEBP", "damaged or cut off (WebP header)"),
        (b"BM" + bytes(60), "damaged or cut off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "bytes",
)
def test_refused(data, reason):
    with pytest.raises(ImageError) as caught:
        decode_image(data, "lot 7/part.png", PIXELS)
    error = caught.value
    assert error.name == "lot 7/part.png"
    assert error.reason.startswith(reason)
    assert error.remedy
    assert str(error) == f"{error.name}: {error.reason}. {error.remedy}"


VALID = [
    grey("PNG"),
    rgb("JPEG"),
    grey("BMP"),
    rgb("TIFF", compression="tiff_lzw"),
    rgb("WEBP"),
    saved(Image.fromarray(SIXTEEN), "TIFF"),
    saved(palette_image([(200, 0, 0), (0, 9, 0)]), "PNG", transparency=0),
    saved(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
]


def decodes_or_refuses(data: bytes) -> None:
    try:
        pixels = decode_image(data, "part", limit_pixels=1_000_000)
    except ImageError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 2 or pixels.shape[2] == 3
    assert min(pixels.shape[:2]) >= 16
    assert pixels.shape[0] * pixels.shape[1] <= 1_000_000


@given(
    data=st.sampled_from(VALID),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
    near_start=st.booleans(),
)
def test_mutated_images_raise_only_image_errors(data, changes, near_start):
    mutated = bytearray(data)
    for where, value in changes:
        mutated[int(where * (min(len(data), 120) if near_start else len(data)))] = value
    decodes_or_refuses(bytes(mutated))


@given(start=st.sampled_from([b"", *(data[:12] for data in VALID)]), rest=st.binary(max_size=300))
def test_random_bytes_raise_only_image_errors(start, rest):
    decodes_or_refuses(start + rest)


def test_error_travels_between_processes():
    error = ImageError("a.png", "an empty file", "Export it again.")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (copied.name, copied.reason, copied.remedy) == ("a.png", error.reason, error.remedy)
        assert str(copied) == str(error)
