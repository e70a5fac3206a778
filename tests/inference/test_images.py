import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defectvision.inference.images import ImageError, decode_image, decode_reduced
from defectvision.limits import PIXELS
from tests.stand_ins.image_files import (
    BINARY,
    COLUMNS,
    GREY,
    RGB,
    SIXTEEN,
    grey,
    palette_image,
    rgb,
    saved,
)

# pytest resets the filter that the module sets
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

ROOT = Path(__file__).resolve().parents[2]


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


def test_a_transparent_level_of_16_bits_is_white():
    level = int(SIXTEEN[0, 0])
    data = saved(Image.fromarray(SIXTEEN), "PNG", transparency=level)
    assert close(decode_image(data, "part", PIXELS), np.where(level == SIXTEEN, 255, GREY), 0)
    data = saved(Image.fromarray(SIXTEEN * 0 + 65535), "PNG", transparency=65535)
    assert (decode_image(data, "part", PIXELS) == 255).all()
    data = saved(Image.fromarray(SIXTEEN * 0 + 40000), "PNG", transparency=40000)
    assert (decode_image(data, "part", PIXELS) == 156).all()


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


def test_threads_get_their_own_images():
    shades = [saved(Image.new("L", (40, 40), shade), "PNG") for shade in range(64)]
    with ThreadPoolExecutor(8) as pool:
        means = list(pool.map(lambda data: decode_image(data, "part", PIXELS).mean(), shades))
    assert means == list(range(64))


def test_neither_serving_nor_a_command_loads_what_few_need():
    code = (
        "import sys, defectvision.inference.images, defectvision.inference.sources\n"
        "import defectvision.cli.main\n"
        "slow = ('torch', 'pandas', 'scipy', 'streamlit')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_real_castings_are_read_as_pillow_reads_them(shared_data):
    for path in sorted((shared_data / "casting/casting_512x512/ok_front").iterdir())[:5]:
        data = path.read_bytes()
        assert np.array_equal(decode_image(data, path.name, PIXELS), np.asarray(Image.open(path)))
