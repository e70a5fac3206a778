"""Pictures of 9 to 16 bits look as bright as their 8-bit twin, or are refused with their range."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from defectvision.inference.images import ImageError, decode_image

ROWS, COLUMNS = np.mgrid[:24, :40]
GREY = (20 + 5 * ROWS + 2 * COLUMNS).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)
ALPHA = np.where(COLUMNS < 20, 255, 0).astype(np.uint8)
BITS = range(9, 17)


def of_bits(picture: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """The picture as a camera of `bits` bits gives it."""
    return np.rint(picture / 255 * ((1 << bits) - 1)).astype(np.uint16)


def png(values: NDArray[np.uint16], sbit: int | None = None) -> bytes:
    """values (H, W), or (H, W, 3 or 4) RGB(A)."""
    if values.ndim == 3:
        code = cv2.COLOR_RGBA2BGRA if values.shape[2] == 4 else cv2.COLOR_RGB2BGR
        values = cv2.cvtColor(values, code)
    data = cv2.imencode(".png", values)[1].tobytes()
    if sbit is None:
        return data
    samples = {2: 1}.get(values.ndim, values.shape[-1])
    body = b"sBIT" + bytes([sbit] * samples)
    chunk = struct.pack(">I", samples) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def tiff(values: NDArray[np.uint16], most: int | None = None, **options: object) -> bytes:
    """most: MaxSampleValue."""
    file = io.BytesIO()
    tags = [] if most is None else [(281, "H", 1, most, True)]
    photometric = "rgb" if values.ndim == 3 else "minisblack"
    tifffile.imwrite(file, values, photometric=photometric, extratags=tags, **options)
    return file.getvalue()


def shown(pixels: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    difference = np.abs(pixels.astype(int) - picture)
    return pixels.shape == picture.shape and int(difference.max()) <= 1


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("picture", [GREY, RGB], ids=["grey", "colour"])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_what_the_file_states_is_its_range(kind, picture, bits) -> None:
    values = of_bits(picture, bits)
    data = png(values, sbit=bits) if kind == "png" else tiff(values, most=(1 << bits) - 1)
    assert shown(decode_image(data, "part"), picture)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("picture", [GREY, RGB], ids=["grey", "colour"])
@pytest.mark.parametrize("write", [png, tiff])
def test_what_the_line_states_is_the_range_of_a_file_that_states_none(write, picture, bits) -> None:
    assert shown(decode_image(write(of_bits(picture, bits)), "part", bits=bits), picture)


@pytest.mark.parametrize("bits", BITS[:-1])
@pytest.mark.parametrize("picture", [GREY, RGB], ids=["grey", "colour"])
@pytest.mark.parametrize("write", [png, tiff])
def test_a_range_that_nobody_states_is_refused_by_name(write, picture, bits) -> None:
    with pytest.raises(ImageError, match="does not say its range") as refused:
        decode_image(write(of_bits(picture, bits)), "part")
    assert str(int(of_bits(picture, bits).max())) in refused.value.reason
    assert "bits" in refused.value.remedy


@pytest.mark.parametrize("write", [png, tiff])
def test_a_hot_pixel_changes_neither_the_scale_nor_what_is_refused(write) -> None:
    values = of_bits(GREY, 12)
    hot = values.copy()
    hot[3, 5] = 4095
    pixels = decode_image(write(hot), "part", bits=12)
    assert np.array_equal(np.delete(pixels, 5, axis=1), np.delete(
        decode_image(write(values), "part", bits=12), 5, axis=1
    ))  # fmt: skip
    hot[3, 5] = 65535
    with pytest.raises(ImageError, match="does not say its range"):
        decode_image(write(hot), "part")
    with pytest.raises(ImageError, match="more than the 12 bits that the line states"):
        decode_image(write(hot), "part", bits=12)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("dark", [1.0, 0.2], ids=["bright", "dark"])
def test_samples_that_were_spread_over_sixteen_bits_stay_spread(bits, dark) -> None:
    """As PNG asks for where sBIT is less than the depth."""
    picture = (GREY * dark).astype(np.uint8)
    values = of_bits(picture, bits) << (16 - bits)
    assert shown(decode_image(png(values, sbit=bits), "part"), picture)


def test_the_largest_value_of_a_picture_is_not_taken_for_the_camera_s() -> None:
    """Some programs write it into MaxSampleValue."""
    values = of_bits(GREY, 12)
    with pytest.raises(ImageError, match="does not say its range"):
        decode_image(tiff(values, most=int(values.max())), "part")


@pytest.mark.parametrize("bits", [12, 16])
def test_alpha_is_laid_over_white_at_any_depth(bits) -> None:
    values = of_bits(np.dstack([RGB, ALPHA]), bits)
    expected = np.where(ALPHA[..., None] > 0, RGB, 255)
    assert shown(decode_image(png(values, sbit=bits), "part"), expected)


def test_white_may_be_zero() -> None:
    values = (4095 - of_bits(GREY, 12)).astype(np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric="miniswhite")
    assert shown(decode_image(file.getvalue(), "part", bits=12), GREY)


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}]
)
@pytest.mark.parametrize("picture", [GREY, RGB], ids=["grey", "colour"])
def test_the_layout_of_a_tiff_does_not_matter(picture, options) -> None:
    data = tiff(of_bits(picture, 10), most=1023, **options)
    assert shown(decode_image(data, "part"), picture)
