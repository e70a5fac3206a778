"""What is decoded is the picture in the bytes that were given, whatever they are called."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from defectvision.inference.images import ImageError, decode_image

ROWS, COLUMNS = np.mgrid[:24, :40]
GREY = (20 + 5 * ROWS + 2 * COLUMNS).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)
OTHER = Image.fromarray(255 - GREY)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


KINDS = {
    "TIFF grey": ("TIFF", Image.fromarray(GREY), {}),
    "TIFF palette": ("TIFF", Image.fromarray(GREY).convert("P"), {}),
    "TIFF colour": ("TIFF", Image.fromarray(RGB), {}),
    "TIFF 16 bits": ("TIFF", Image.fromarray(GREY.astype(np.uint16) * 257), {}),
    "TIFF LZW": ("TIFF", Image.fromarray(GREY), {"compression": "tiff_lzw"}),
    "BMP grey": ("BMP", Image.fromarray(GREY), {}),
    "BMP palette": ("BMP", Image.fromarray(GREY).convert("P"), {}),
    "BMP colour": ("BMP", Image.fromarray(RGB), {}),
    "PNG": ("PNG", Image.fromarray(GREY), {}),
    "JPEG": ("JPEG", Image.fromarray(GREY), {"quality": 95}),
    "WebP": ("WEBP", Image.fromarray(RGB), {"lossless": True}),
}


@pytest.fixture(params=KINDS, name="picture")
def picture_of_each_kind(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """A file, and another of the same kind and size that shows something else."""
    kind, image, options = KINDS[request.param]
    other = OTHER.convert(image.mode) if not image.mode.startswith("I") else Image.fromarray(
        (255 - GREY).astype(np.uint16) * 257
    )  # fmt: skip
    return saved(image, kind, **options), saved(other, kind, **options)


def test_the_name_of_another_file_changes_nothing(picture, tmp_path: Path, monkeypatch) -> None:
    data, other = picture
    (tmp_path / "other.bin").write_bytes(other)
    monkeypatch.chdir(tmp_path)
    plain = decode_image(data, "part")
    for name in (str(tmp_path / "other.bin"), "other.bin", "/etc/passwd", "/nowhere/x", ""):
        assert np.array_equal(decode_image(data, name), plain)
    assert not np.array_equal(decode_image(other, "other.bin"), plain)


def test_the_name_of_a_pipe_hangs_nobody(picture, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert decode_image(picture[0], str(pipe)).shape[:2] == GREY.shape


def test_a_file_that_shrinks_meanwhile_ends_nothing(picture, tmp_path: Path) -> None:
    file = tmp_path / "part.bin"
    file.write_bytes(picture[0])
    data = file.read_bytes()
    os.truncate(file, 0)
    assert decode_image(data, str(file)).shape[:2] == GREY.shape


TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x[::-1].swapaxes(0, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: x[:, ::-1].swapaxes(0, 1),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("image", [GREY, RGB, GREY.astype(np.uint16) * 257], ids=["L", "RGB", "16"])
def test_turned_tiffs_are_upright(image, compression, orientation) -> None:
    stored = Image.fromarray(np.ascontiguousarray(image))
    data = saved(stored, "TIFF", compression=compression, tiffinfo={274: orientation})
    expected = GREY if image.ndim == 2 else RGB
    assert np.array_equal(decode_image(data, "part"), TURNS[orientation](expected))


def tiff(*pages: tuple[np.ndarray, dict[str, object]], order: str = "<") -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, byteorder=order) as writer:
        for image, options in pages:
            writer.write(image, metadata=None, **options)
    return file.getvalue()


OPAQUE = np.full_like(GREY, 255)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"compression": "deflate"}])
@pytest.mark.parametrize("alpha", [False, True])
def test_turned_tiffs_of_16_bit_colour_are_upright(orientation, options, alpha) -> None:
    image = np.dstack([RGB, OPAQUE] if alpha else [RGB]).astype(np.uint16) * 257
    options = {"photometric": "rgb", "extratags": [(274, "H", 1, orientation, True)], **options}
    data = tiff((image, options | ({"extrasamples": ["unassalpha"]} if alpha else {})))
    assert np.array_equal(decode_image(data, "part"), TURNS[orientation](RGB))


SMALL = GREY[::2, ::2].copy()
AS_COPY, AS_MASK = (struct.pack("<HHII", 254, 4, 1, value) for value in (1, 4))
GREY_16 = GREY.astype(np.int16)
WIDE = np.dstack([RGB, OPAQUE]).astype(np.uint16) * 257
HALF = np.dstack([RGB, OPAQUE // 2]).astype(np.uint16) * 257
PLANES = np.moveaxis(WIDE[..., :3], -1, 0)
IN_PLANES = {"photometric": "rgb", "planarconfig": "separate"}


def extra(photometric: str, *kinds: str) -> dict[str, object]:
    return {"photometric": photometric, "extrasamples": kinds, "planarconfig": "contig"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff((SMALL, {"subfiletype": 1})), "a TIFF in which a reduced copy stands first"),
        (tiff((SMALL, {"subfiletype": 1}), (GREY, {})), "a TIFF in which a reduced copy"),
        (tiff((SMALL, {"subifds": 1}), (GREY, {})), "a TIFF in which a reduced copy"),
        (tiff((GREY, {}), (GREY, {})), "a TIFF of several pages"),
        (tiff((GREY, {}), (SMALL, {"subfiletype": 1}), (GREY, {})), "a TIFF of several pages"),
        (tiff((SMALL, {}), (GREY, {"subfiletype": 1})), "a TIFF of several pages"),
        (tiff((GREY, {"description": "ImageJ=1.53t\nimages=7\nslices=7"})), "an ImageJ stack of 7"),
        (tiff((GREY, {"extratags": [(50706, "B", 4, (1, 4, 0, 0), True)]})), "a raw photograph"),
        (tiff((GREY, {"photometric": "cfa"})), "raw sensor data (a Bayer pattern)"),
        (tiff((GREY_16, {})), "signed 16-bit samples"),
        (tiff((GREY.astype(np.int8), {})), "signed 8-bit samples"),
        (tiff((GREY.astype(np.float32), {})), "32-bit float grey"),
        (tiff((PLANES, IN_PLANES)), "samples of 16 bits, those of each colour in a plane"),
        (tiff((PLANES, {**IN_PLANES, "compression": "deflate"})), "samples of 16 bits, those of"),
        (tiff((WIDE, {"photometric": "separated"})), "CMYK of 16 bits"),
        (tiff((HALF, extra("rgb", "assocalpha"))), "colour of 16 bits a channel that is multipl"),
        (
            tiff((GREY.astype(np.uint16) * 257, {"photometric": "miniswhite"}), order=">"),
            "a TIFF whose samples are laid",
        ),
        (tiff((WIDE[..., 2:], extra("minisblack", "unassalpha"))), "a TIFF whose samples are laid"),
        (
            tiff((np.dstack([WIDE, WIDE[..., :1]]), extra("rgb", "unspecified", "unspecified"))),
            "a TIFF whose samples are laid",
        ),
    ],
)
def test_what_is_not_the_picture_is_never_judged_in_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as refused:
        decode_image(data, "part.tif")
    assert refused.value.reason.startswith(reason)
    assert "damaged" not in refused.value.reason


@pytest.mark.parametrize(
    "data",
    [
        tiff((GREY, {}), (SMALL, {"subfiletype": 1})),
        tiff((GREY, {"subifds": 1}), (SMALL, {"subfiletype": 1})),
        tiff((GREY, {}), (GREY, {"subfiletype": 1})).replace(AS_COPY, AS_MASK),
        tiff((GREY, {"description": "ImageJ=1.53t\nimages=1\n"})),
    ],
    ids=["a preview page", "a preview below", "a mask page", "ImageJ's single image"],
)
def test_a_copy_or_a_mask_beside_the_picture_costs_it_nothing(data: bytes) -> None:
    assert np.array_equal(decode_image(data, "part.tif"), GREY)


@pytest.mark.parametrize("kind", ["unspecified", "assocalpha", "unassalpha"])
@pytest.mark.parametrize("image", [RGB, RGB.astype(np.uint16) * 257, GREY], ids=["8", "16", "L"])
def test_a_sample_beside_the_colours_changes_them_only_as_alpha(image: np.ndarray, kind) -> None:
    top = np.iinfo(image.dtype).max
    beside = GREY if kind == "unspecified" else np.full_like(GREY, 255)
    stored = np.dstack([image, beside.astype(image.dtype) * (top // 255)])
    photometric = "minisblack" if image.ndim == 2 else "rgb"
    data = tiff((stored, extra(photometric, kind)))
    assert np.array_equal(decode_image(data, "part.tif"), GREY if image.ndim == 2 else RGB)


def test_grey_that_is_multiplied_by_its_alpha_lies_on_white() -> None:
    half = np.dstack([GREY // 4, np.full_like(GREY, 64)])
    pixels = decode_image(tiff((half, extra("minisblack", "assocalpha"))), "part.tif")
    expected = GREY // 4 + (255 - 64.0)
    assert abs(pixels - expected).max() <= 2


def multi_picture(*kinds: int) -> bytes:
    """A JPEG with an index of pictures of these types (CIPA DC-007)."""
    image = saved(Image.fromarray(GREY), "JPEG")
    entries = b"".join(struct.pack("<IIIHH", kind, len(image), 0, 0, 0) for kind in kinds)
    index = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0xB002, 7, len(entries), 26, 0) + entries
    body = b"MPF\0" + index
    return image[:2] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + image[2:]


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ((0x020002, 0x020002), "a JPEG of 2 views (MPO)"),
        ((0x020003,) * 3, "a JPEG of 3 views (MPO)"),
        ((0x010001, 0x030000), "a JPEG whose first picture is a preview (MPO)"),
        ((0x030000, 0x010001), ""),
        ((0x030000, 0), ""),
    ],
)
def test_a_jpeg_of_several_views_is_refused_and_one_with_previews_read(kinds, reason) -> None:
    data = multi_picture(*kinds)
    if not reason:
        assert decode_image(data, "part").shape == GREY.shape
        return
    with pytest.raises(ImageError) as refused:
        decode_image(data, "part")
    assert refused.value.reason == reason


def frame(marker: int, bits: int = 8) -> bytes:
    """The head of a JPEG whose frame is coded in another way."""
    body = bytes([bits]) + struct.pack(">HHB", 24, 40, 1) + b"\1\x11\0"
    return b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body + bytes(99)


def packed(bits: int) -> bytes:
    return tiff((GREY, {"extratags": []})).replace(
        struct.pack("<HHIHH", 258, 3, 1, 8, 0), struct.pack("<HHIHH", 258, 3, 1, bits, 0)
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(0xF7), "a JPEG-LS image"),
        (frame(0xC3), "a lossless JPEG"),
        (frame(0xC9), "a JPEG with arithmetic coding"),
        (frame(0xC5), "a hierarchical JPEG"),
        (frame(0xC1, 12), "a JPEG of 12 bits a channel"),
        *((packed(bits), f"samples of {bits} bits, packed") for bits in (10, 12, 14)),
        (b"P5\n4 4\n255\n" + bytes(16), "a PGM image (netpbm)"),
        (b"IIRO" + bytes(99), "a raw photograph (ORF)"),
        (b"FUJIFILMCCD-RAW" + bytes(99), "a raw photograph (RAF)"),
        (bytes(128) + b"DICM" + bytes(99), "a DICOM image"),
        (b"\xff\x0a" + bytes(99), "a JPEG XL image"),
        (b"\x76\x2f\x31\x01" + bytes(99), "an OpenEXR image"),
        (b"SIMPLE  =                    T", "a FITS image"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\x1f\x8b\x08" + bytes(99), "a gzip archive"),
        (bytes(5000), "a file of nothing but zeros"),
    ],
)
def test_a_sound_file_of_another_kind_is_called_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as refused:
        decode_image(data, "part")
    assert refused.value.reason.startswith(reason)
    assert "Copy or export the image again" not in refused.value.remedy or "zeros" in reason


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "JPEG"])
def test_a_file_that_was_cut_off_is_called_damaged(kind: str, cut: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(ImageError, match="damaged or cut off"):
        decode_image(data[: int(len(data) * cut)], "part")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content)
    )  # fmt: skip


LONG = b"x" * 3_000_000


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"tEXt", b"Comment\0" + LONG),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LONG),
        chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0" + LONG),
    ],
    ids=["text", "compressed text", "XMP", "EXIF"],
)
def test_megabytes_beside_the_picture_of_a_png_cost_it_nothing(extra: bytes) -> None:
    data = saved(Image.fromarray(GREY), "PNG")
    assert np.array_equal(decode_image(data[:33] + extra + data[33:], "part"), GREY)
    assert np.array_equal(decode_image(data[:-12] + extra + data[-12:], "part"), GREY)


def test_megabytes_beside_the_picture_of_a_tiff_or_jpeg_cost_it_nothing() -> None:
    tagged = tiff((GREY, {"extratags": [(700, "B", len(LONG), LONG, True)]}))
    assert np.array_equal(decode_image(tagged, "part"), GREY)
    jpeg = saved(Image.fromarray(GREY), "JPEG", quality=95)
    segment = b"\xff\xe1" + struct.pack(">H", 65_535) + b"http://ns.adobe.com/xmp/extension/\0"
    segment = segment.ljust(65_537, b"x")
    assert np.array_equal(
        decode_image(jpeg[:2] + segment * 40 + jpeg[2:], "part"), decode_image(jpeg, "part")
    )


def test_opencv_is_given_bytes_too() -> None:
    """It reads what it is given; a path is never among it."""
    assert cv2.imdecode(np.frombuffer(b"/etc/passwd", np.uint8), cv2.IMREAD_UNCHANGED) is None


@pytest.mark.parametrize("bits", [(5, 5, 5), (5, 6, 5)])
def test_a_bitmap_of_16_bits_is_read(bits: tuple[int, int, int]) -> None:
    red, green, blue = (RGB[..., i].astype(np.uint16) >> 8 - bits[i] for i in range(3))
    values = red << bits[1] + bits[2] | green << bits[2] | blue
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F) if bits == (5, 6, 5) else b""
    rows = np.ascontiguousarray(values[::-1].astype("<u2")).tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, 40, 24, 1, 16, 3 if masks else 0, len(rows), *[0] * 4)
    begin = 14 + len(header) + len(masks)
    start = b"BM" + struct.pack("<IHHI", begin + len(rows), 0, 0, begin)
    pixels = decode_image(start + header + masks + rows, "part.bmp")
    assert abs(pixels.astype(int) - RGB).max() <= 8
