import copy
import io
import pickle
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from defectvision.inference.images import ImageError, decode_image, decode_reduced
from defectvision.limits import PIXELS

# pytest resets the filter that the module sets
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

ROOT = Path(__file__).resolve().parents[2]

# Smooth, unsymmetric, no constant row or column: a turn or a mirror shows, and JPEG stays close.
ROWS, COLUMNS = np.mgrid[:24, :40]
GREY = (20 + 5 * ROWS + 2 * COLUMNS).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey(kind: str, **options) -> bytes:
    return saved(Image.fromarray(GREY), kind, **options)


def rgb(kind: str, **options) -> bytes:
    return saved(Image.fromarray(RGB), kind, **options)


def close(pixels: np.ndarray, expected: np.ndarray, tolerance: int) -> bool:
    return (
        pixels.dtype == np.uint8
        and pixels.shape == expected.shape
        and pixels.flags["C_CONTIGUOUS"]
        and int(np.abs(pixels.astype(int) - expected.astype(int)).max()) <= tolerance
    )


@pytest.mark.parametrize(
    ("data", "expected", "tolerance"),
    [
        (grey("BMP"), GREY, 0),
        (grey("PNG"), GREY, 0),
        (grey("TIFF"), GREY, 0),
        (grey("TIFF", compression="tiff_lzw"), GREY, 0),
        (grey("JPEG", quality=95), GREY, 3),
        (grey("JPEG", quality=95, progressive=True), GREY, 3),
        (rgb("BMP"), RGB, 0),
        (rgb("PNG"), RGB, 0),
        (rgb("TIFF"), RGB, 0),
        (rgb("WEBP", lossless=True), RGB, 0),
        (rgb("WEBP", quality=95), RGB, 12),
        (rgb("JPEG", quality=98, subsampling=0), RGB, 4),
        (grey("PNG") + b"trailing rubbish", GREY, 0),
    ],
)
def test_formats(data, expected, tolerance):
    assert close(decode_image(data, "part", PIXELS), expected, tolerance)


def palette_image(colours: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray((GREY > 100).astype(np.uint8))
    image.putpalette([value for colour in colours for value in colour])
    return image


BINARY = GREY > 100
SIXTEEN = GREY.astype(np.uint16) * 257
TWELVE = np.rint(GREY * (4095 / 255)).astype(np.uint16)


def alpha_image(mode: str, alpha: np.ndarray) -> Image.Image:
    image = Image.fromarray(GREY if mode == "LA" else RGB)
    image.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return image


HALF = np.where(COLUMNS < 20, 255, 0)


@pytest.mark.parametrize(
    ("image", "kind", "expected", "tolerance"),
    [
        pytest.param(Image.fromarray(BINARY), "PNG", BINARY * 255, 0, id="1 bit"),
        pytest.param(
            palette_image([(10, 10, 10), (90, 90, 90)]), "PNG", np.where(BINARY, 90, 10), 0,
            id="grey palette",
        ),
        pytest.param(
            palette_image([(200, 0, 0), (0, 9, 0)]), "PNG",
            np.where(BINARY[..., None], [0, 9, 0], [200, 0, 0]), 0, id="colour palette",
        ),
        pytest.param(Image.fromarray(SIXTEEN), "PNG", GREY, 0, id="16 bit PNG"),
        pytest.param(Image.fromarray(SIXTEEN), "TIFF", GREY, 0, id="16 bit TIFF"),
        pytest.param(Image.fromarray(TWELVE), "PNG", GREY, 0, id="12 in 16 bit PNG"),
        pytest.param(Image.fromarray(TWELVE), "TIFF", GREY, 0, id="12 in 16 bit TIFF"),
        pytest.param(alpha_image("LA", HALF), "PNG", np.where(HALF, GREY, 255), 0, id="LA"),
        pytest.param(
            alpha_image("RGBA", HALF), "PNG", np.where(HALF[..., None], RGB, 255), 0, id="RGBA"
        ),
        pytest.param(alpha_image("RGBA", HALF * 0), "PNG", RGB, 0, id="all transparent"),
        pytest.param(alpha_image("RGBA", HALF * 0 + 255), "PNG", RGB, 0, id="opaque"),
        pytest.param(
            alpha_image("RGBA", HALF * 0 + 128), "PNG", (RGB * 128.0 + 255 * 127) / 255, 1,
            id="half transparent",
        ),
        pytest.param(Image.fromarray(RGB).convert("CMYK"), "JPEG", RGB, 12, id="CMYK JPEG"),
        pytest.param(Image.fromarray(RGB).convert("CMYK"), "TIFF", RGB, 1, id="CMYK TIFF"),
        pytest.param(Image.fromarray(RGB).convert("YCbCr"), "TIFF", RGB, 3, id="YCbCr TIFF"),
    ],
)  # fmt: skip
def test_modes(image, kind, expected, tolerance):
    options = {"quality": 97} if kind == "JPEG" else {}
    assert close(decode_image(saved(image, kind, **options), "part", PIXELS), expected, tolerance)


def test_transparent_palette_is_blended_over_white():
    image = palette_image([(200, 0, 0), (0, 9, 0)])
    pixels = decode_image(saved(image, "PNG", transparency=0), "part", PIXELS)
    assert close(pixels, np.where(BINARY[..., None], [0, 9, 0], [255, 255, 255]), 0)


def test_white_is_zero_16_bit_is_turned_over():
    data = saved(Image.fromarray(65535 - SIXTEEN), "TIFF", tiffinfo={262: 0})
    if Image.open(io.BytesIO(data)).tag_v2[262] != 0:  # Pillow writes its own value
        at = data.index(struct.pack("<HHI", 262, 3, 1))
        data = data[: at + 8] + struct.pack("<H", 0) + data[at + 10 :]
    assert close(decode_image(data, "part", PIXELS), GREY, 0)


UPRIGHT = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.swapaxes(0, 1),
    6: np.rot90(RGB, -1),
    7: RGB[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90(RGB, 1),
    77: RGB,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 98, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
    ],
)
def test_exif_orientation(orientation, kind, options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode_image(rgb(kind, exif=exif, **options), "part", PIXELS)
    assert close(pixels, UPRIGHT[orientation], 4)


def test_damaged_exif_counts_as_none():
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert close(decode_image(grey("JPEG", quality=95, exif=exif), "part", PIXELS), GREY, 3)


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


def test_reduced_second_page_is_a_preview():
    first, preview = Image.fromarray(GREY), Image.fromarray(GREY).resize((20, 12))
    data = saved(first, "TIFF", save_all=True, append_images=[preview], tiffinfo={254: 0})
    with pytest.raises(ImageError, match="several pages"):
        decode_image(data, "part", PIXELS)
    # the last NewSubfileType is the second page's
    at = data.rindex(struct.pack("<HHI", 254, 4, 1)) + 8
    reduced = data[:at] + struct.pack("<I", 1) + data[at + 4 :]
    assert close(decode_image(reduced, "part", PIXELS), GREY, 0)


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 40, 3), np.uint8))


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (NOISE, "PNG", {}),
        (NOISE.convert("L"), "PNG", {}),
        (NOISE, "JPEG", {}),
        (NOISE, "JPEG", {"progressive": True}),
        (NOISE.convert("CMYK"), "JPEG", {}),
        (NOISE, "BMP", {}),
        (NOISE, "TIFF", {}),
        (NOISE, "TIFF", {"compression": "tiff_lzw"}),
        (NOISE, "WEBP", {}),
    ],
)
def test_truncated_files_are_never_shown_in_part(image, kind, options):
    data = saved(image, kind, **options)
    whole = decode_image(data, "part", PIXELS)
    refused = 0
    for kept in range(1, len(data), max(1, len(data) // 97)):
        try:
            assert np.array_equal(decode_image(data[:kept], "part", PIXELS), whole)
        except ImageError:
            refused += 1
    assert refused >= 90  # but an end mark alone may be missing


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("image", [NOISE, NOISE.convert("L")])
def test_a_truncated_jpeg_is_not_shown_in_part_at_a_smaller_scale_either(image, reduction):
    data = saved(image, "JPEG")
    whole, size = decode_reduced(data, "part", lambda _size: reduction, PIXELS)
    assert size == (NOISE.height, NOISE.width)
    assert whole.shape[:2] == tuple(-(-side // reduction) for side in size)
    refused = 0
    for kept in range(1, len(data), max(1, len(data) // 97)):
        try:
            found, _ = decode_reduced(data[:kept], "part", lambda _size: reduction, PIXELS)
            assert np.array_equal(found, whole)
        except ImageError:
            refused += 1
    assert refused >= 90


def test_limits_are_the_callers():
    data = grey("PNG")
    assert decode_image(data, "part", limit_pixels=40 * 24, min_side=24).shape == (24, 40)
    with pytest.raises(ImageError, match="megapixels"):
        decode_image(data, "part", limit_pixels=40 * 24 - 1)
    with pytest.raises(ImageError, match="too small"):
        decode_image(data, "part", PIXELS, min_side=25)


def test_metadata_warnings_stay_silent():
    code = (
        "import sys; from defectvision.inference.images import decode_image\n"
        "print(decode_image(sys.stdin.buffer.read(), 'part', 1_000_000).shape)"
    )
    data = grey("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\0")
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=ROOT, input=data,
                         capture_output=True)  # fmt: skip
    assert run.stdout.strip() == b"(24, 40)"
    assert run.stderr == b""


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


def test_threads_get_their_own_images():
    shades = [saved(Image.new("L", (40, 40), shade), "PNG") for shade in range(64)]
    with ThreadPoolExecutor(8) as pool:
        means = list(pool.map(lambda data: decode_image(data, "part", PIXELS).mean(), shades))
    assert means == list(range(64))


def test_error_travels_between_processes():
    error = ImageError("a.png", "an empty file", "Export it again.")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (copied.name, copied.reason, copied.remedy) == ("a.png", error.reason, error.remedy)
        assert str(copied) == str(error)


def test_serving_does_not_load_what_only_training_needs():
    code = (
        "import sys, defectvision.inference.images, defectvision.inference.sources\n"
        "print([name for name in ('torch', 'pandas', 'streamlit') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_real_castings_are_read_as_pillow_reads_them(shared_data):
    for path in sorted((shared_data / "casting/casting_512x512/ok_front").iterdir())[:5]:
        data = path.read_bytes()
        assert np.array_equal(decode_image(data, path.name, PIXELS), np.asarray(Image.open(path)))
