"""A file of which a part is missing is refused with that reason; a whole one stays as it is."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageOps

from defectvision.data.synthetic.samples import draw
from defectvision.inference.images import ImageError, decode_image, decode_reduced
from defectvision.limits import PIXELS

SHARES = (0.3, 0.5, 0.75, 0.9)


@cache
def part(mode: str = "L") -> Image.Image:
    """A drawn casting with a pit, of fine grain everywhere."""
    pixels = draw("casting", "def", np.random.default_rng([105, 0]), 300)
    return Image.fromarray(pixels).convert("L").convert(mode)


def written(image: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


@cache
def files() -> dict[str, bytes]:
    """The same picture in every way in which files are written."""
    wide = Image.fromarray((np.asarray(part()).astype(np.uint16) << 8) | 7)
    return {
        "jpeg": written(part(), "JPEG", quality=90),
        "jpeg colour": written(part("RGB"), "JPEG"),
        "jpeg colour 4:4:4": written(part("RGB"), "JPEG", subsampling=0),
        "jpeg optimised": written(part(), "JPEG", optimize=True),
        "jpeg restarts": written(part(), "JPEG", restart_marker_rows=2),
        "jpeg progressive": written(part(), "JPEG", progressive=True),
        "jpeg progressive colour": written(part("RGB"), "JPEG", progressive=True),
        "jpeg cmyk": written(part("CMYK"), "JPEG"),
        "png": written(part(), "PNG"),
        "png colour": written(part("RGB"), "PNG"),
        "png stored": written(part(), "PNG", compress_level=0),
        "png 16 bit": written(wide, "PNG"),
        "bmp": written(part(), "BMP"),
        "bmp colour": written(part("RGB"), "BMP"),
        "tiff": written(part(), "TIFF"),
        "tiff colour": written(part("RGB"), "TIFF"),
        "tiff 16 bit": written(wide, "TIFF"),
        "tiff lzw": written(part(), "TIFF", compression="tiff_lzw"),
        "tiff deflate": written(part(), "TIFF", compression="tiff_adobe_deflate"),
        "tiff packbits": written(part(), "TIFF", compression="packbits"),
        "tiff jpeg": written(part("RGB"), "TIFF", compression="jpeg"),
        "webp": written(part("RGB"), "WEBP"),
        "webp lossless": written(part("RGB"), "WEBP", lossless=True),
    }


NAMES = list(files())


def is_refused(data: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        decode_image(data, "part")
    assert caught.value.reason.startswith("damaged or cut off")


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_is_read(name: str) -> None:
    assert decode_image(files()[name], "part").shape[:2] == (300, 300)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", NAMES)
def test_a_tail_that_was_never_written_is_noticed(name: str, share: float) -> None:
    """Of zeros, as a file system lays out a file of its full length, and of ones, as a memory card
    is when it is empty."""
    data = files()[name]
    kept = int(len(data) * share)
    is_refused(data[:kept] + bytes(len(data) - kept))
    is_refused(data[:kept] + b"\xff" * (len(data) - kept))
    is_refused(data[:kept])


@pytest.mark.parametrize("share", [*SHARES, 0.97])
@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("jpeg")])
def test_a_jpeg_that_ends_early_with_its_end_mark_is_noticed(name: str, share: float) -> None:
    data = files()[name]
    is_refused(data[: int(len(data) * share)] + b"\xff\xd9")


@pytest.mark.parametrize("reduction", [2, 4, 8])
@pytest.mark.parametrize("name", ["jpeg", "jpeg colour", "jpeg progressive", "jpeg restarts"])
def test_a_reduced_jpeg_is_looked_at_as_well(name: str, reduction: int) -> None:
    data = files()[name]
    decode_reduced(data, "part", lambda _size: reduction, PIXELS)
    with pytest.raises(ImageError, match="end before its picture"):
        decode_reduced(
            data[: len(data) * 7 // 10] + b"\xff\xd9", "part", lambda _: reduction, PIXELS
        )


def test_a_progressive_jpeg_without_its_last_scans_is_noticed() -> None:
    data = files()["jpeg progressive"]
    is_refused(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9")


def taller(name: str) -> bytes:
    """The file with a header that promises twice as many rows."""
    data = bytearray(files()[name])
    if name.startswith("jpeg"):
        at = next(data.index(m) for m in (b"\xff\xc0", b"\xff\xc2") if m in data)
        data[at + 5 : at + 7] = struct.pack(">H", 600)
    elif name.startswith("png"):
        data[20:24] = struct.pack(">I", 600)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif name.startswith("bmp"):
        data[22:26] = struct.pack("<i", 600)
    elif name == "webp":
        at = data.index(b"VP8 ") + 16
        data[at : at + 2] = struct.pack("<H", 600)
    else:
        (at,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, at)
        for entry in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from("<HH", data, entry)
            if tag in (257, 278):  # ImageLength, and RowsPerStrip: one strip
                struct.pack_into("<H" if kind == 3 else "<I", data, entry + 8, 600)
    return bytes(data)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "webp lossless"])
def test_a_header_that_promises_more_rows_than_there_are_is_noticed(name: str) -> None:
    is_refused(taller(name))


def test_an_interlaced_png_of_which_a_pass_is_missing_is_noticed() -> None:
    """Adam7: the last pass holds every second row."""
    rows = np.asarray(part())
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
             (0, 1, 1, 2))  # fmt: skip
    passes = [
        b"".join(b"\0" + row.tobytes() for row in rows[top::down, left::across])
        for left, top, across, down in steps
    ]

    def chunk(kind: bytes, data: bytes) -> bytes:
        sums = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sums

    def interlaced(count: int) -> bytes:
        head = struct.pack(">IIBBBBB", 300, 300, 8, 0, 0, 0, 1)
        body = zlib.compress(b"".join(passes[:count]))
        return (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
        )

    assert (decode_image(interlaced(7), "part") == rows).all()
    is_refused(interlaced(6))


def test_a_png_whose_data_were_changed_is_noticed() -> None:
    data = bytearray(files()["png stored"])
    data[len(data) // 2] ^= 0x40
    is_refused(bytes(data))


def test_a_strip_that_is_missing_is_named() -> None:
    import tifffile

    out = io.BytesIO()
    tifffile.imwrite(out, np.asarray(part()), rowsperstrip=50)
    data = bytearray(out.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        counts = file.pages.first.tags[279]
        offsets = file.pages.first.tags[273]
    assert decode_image(bytes(data), "part").shape == (300, 300)
    for tag in (counts, offsets):
        struct.pack_into("<I", data, tag.offset + 4, 5)  # one less than there are
    with pytest.raises(ImageError, match="5 of 6 parts"):
        decode_image(bytes(data), "part")


@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_tiles_and_strips_that_were_never_written(tile) -> None:
    import tifffile

    out = io.BytesIO()
    tifffile.imwrite(out, np.asarray(part()), tile=tile, rowsperstrip=None if tile else 32)
    data = out.getvalue()
    assert (decode_image(data, "part") == np.asarray(part())).all()
    kept = len(data) * 6 // 10
    is_refused(data[:kept] + bytes(len(data) - kept))


def uniform_below(fill: int, mode: str) -> dict[str, Image.Image]:
    """Pictures whose last rows are of one colour by themselves."""
    image = part(mode)
    paint = fill if mode == "L" else (fill,) * 3
    return {
        "border": ImageOps.expand(image, (0, 0, 0, 40), paint),
        "border of another width": ImageOps.expand(image, (0, 0, 7, 40), paint),
        "frame": ImageOps.expand(image, 33, paint),
        "turned": image.rotate(7, expand=True, fillcolor=paint),
        "hardly turned": image.rotate(0.3, expand=True, fillcolor=paint),
        "nothing else": Image.new(mode, image.size, paint),
        "saturated": image.point(lambda v: min(255, 2 * v) if fill else max(0, v - 120)),
        "masked": Image.composite(
            image, Image.new(mode, image.size, paint), part().point(lambda v: 255 * (v > 110))
        ),
    }


WAYS = {
    "jpeg": ("JPEG", {}),
    "jpeg optimised": ("JPEG", {"optimize": True, "quality": 30}),
    "jpeg progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"quality": 50}),
    "webp coarse": ("WEBP", {"quality": 5}),
    "webp lossless": ("WEBP", {"lossless": True, "method": 0}),
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("fill", [0, 128, 255])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_that_ends_in_one_colour_by_itself_stays(mode: str, fill: int, way: str) -> None:
    kind, more = WAYS[way]
    for name, image in uniform_below(fill, mode).items():
        found = decode_image(written(image, kind, **more), name)
        assert found.shape[1::-1] == image.size, name


def test_zeros_behind_the_end_of_a_file_are_no_part_of_it() -> None:
    """As a copy by whole blocks leaves them."""
    for name in ("jpeg", "jpeg progressive", "png", "webp"):
        padded = files()[name] + bytes(4096)
        assert (decode_image(padded, "part") == decode_image(files()[name], "part")).all()
