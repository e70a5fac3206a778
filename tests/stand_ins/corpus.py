"""Hostile and odd files of every format that is read, some hundred, made by the program."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.stand_ins.image_files import saved

HEIGHT, WIDTH = 120, 160
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
GREY = (ROWS + COLUMNS // 2 + 9 * np.sin(ROWS * COLUMNS / 90) + 20).astype(np.uint8)
RGB = np.stack([GREY, 255 - GREY, GREY // 2 + 40], axis=-1)
PIXELS = 64_000_000  # of the largest picture that is read
CUTS = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.999)


class Odd(NamedTuple):
    """One file. shows: what it must be decoded to, where it must; like: where it may be refused,
    what it must be decoded to otherwise."""

    name: str
    data: bytes
    shows: NDArray[np.uint8] | None = None
    like: NDArray[np.uint8] | None = None


def corpus() -> Iterator[Odd]:
    """All of them, the same ones every time."""
    sound = dict(_sound())
    for name, (data, shows) in sound.items():
        yield Odd(name, data, shows=shows)
        for cut in CUTS:
            yield Odd(f"{name} cut at {cut}", data[: int(len(data) * cut)], like=shows)
        rng = random.Random(name)
        for turn in range(3):
            changed = bytearray(data)
            for _ in range(4):
                changed[rng.randrange(min(len(data), 200 if turn else len(data)))] ^= (
                    1 << rng.randrange(8)
                )
            yield Odd(f"{name} with wrong bits {turn}", bytes(changed))
        yield Odd(f"{name} with a tail of zeros", data + bytes(1000))
    yield from (Odd(*one) for one in _bombs())
    yield from (Odd(*one) for one in _tiffs())
    yield from _pngs()
    yield from _turned()
    yield from (Odd(*one) for one in _others())
    yield from (Odd(*one) for one in _archives())


def _sound() -> Iterator[tuple[str, tuple[bytes, NDArray[np.uint8]]]]:
    grey, colour = Image.fromarray(GREY), Image.fromarray(RGB)
    alpha = np.dstack([RGB, np.full_like(GREY, 255)])
    wide, binary = GREY.astype(np.uint16) * 257, GREY > 100
    wide_colour = cv2.imencode(".png", RGB[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    palette = colour.quantize(64)
    shown = np.asarray(palette.convert("RGB"))
    made = {
        "l.png": (saved(grey, "PNG"), GREY),
        "rgb.png": (saved(colour, "PNG"), RGB),
        "rgba.png": (saved(Image.fromarray(alpha), "PNG"), RGB),
        "la.png": (saved(Image.fromarray(alpha[:, :, [0, 3]], "LA"), "PNG"), GREY),
        "p.png": (saved(palette, "PNG"), shown),
        "1.png": (saved(Image.fromarray(binary), "PNG"), binary.astype(np.uint8) * 255),
        "16.png": (saved(Image.fromarray(wide), "PNG"), GREY),
        "rgb16.png": (wide_colour, RGB),
        "l.jpg": (saved(grey, "JPEG", quality=95), GREY),
        "rgb.jpg": (saved(colour, "JPEG", quality=95, subsampling=0), RGB),
        "progressive.jpg": (
            saved(colour, "JPEG", quality=95, subsampling=0, progressive=True),
            RGB,
        ),
        "cmyk.jpg": (saved(colour.convert("CMYK"), "JPEG", quality=95), RGB),
        "restarts.jpg": (saved(grey, "JPEG", quality=95, restart_marker_blocks=3), GREY),
        "l.bmp": (saved(grey, "BMP"), GREY),
        "rgb.bmp": (saved(colour, "BMP"), RGB),
        "p.bmp": (saved(palette, "BMP"), shown),
        "1.bmp": (saved(Image.fromarray(binary), "BMP"), binary.astype(np.uint8) * 255),
        "lossy.webp": (saved(colour, "WEBP", quality=95), RGB),
        "lossless.webp": (saved(colour, "WEBP", lossless=True), RGB),
        "alpha.webp": (saved(Image.fromarray(alpha), "WEBP", lossless=True), RGB),
        "l.tif": (saved(grey, "TIFF"), GREY),
        "16.tif": (saved(Image.fromarray(wide), "TIFF"), GREY),
        "cmyk.tif": (saved(colour.convert("CMYK"), "TIFF", compression="tiff_lzw"), RGB),
        "g4.tif": (
            saved(Image.fromarray(binary), "TIFF", compression="group4"),
            binary.astype(np.uint8) * 255,
        ),
        "tiles.tif": (_tiff(RGB, tile=(32, 32)), RGB),
        "big.tif": (_tiff(RGB, bigtiff=True), RGB),
        "rgb16.tif": (_tiff(RGB.astype(np.uint16) * 257), RGB),
    }  # fmt: skip
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        more = {"quality": 95} if packing == "jpeg" else {}
        made[f"{packing}.tif"] = saved(colour, "TIFF", compression=packing, **more), RGB
    yield from made.items()


def _tiff(values: NDArray[np.generic], **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(
        file, values, photometric="rgb" if values.ndim == 3 else "minisblack", **options
    )
    return file.getvalue()


def _bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that unfold to as much as is allowed, and to more."""
    side = int(PIXELS**0.5)
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        flat = Image.new(mode, (side, side))
        yield f"bomb {mode}.png", saved(flat, "PNG", compress_level=1)
        if mode in ("1", "L", "RGB", "P"):
            yield f"bomb {mode}.tif", saved(flat, "TIFF", compression="tiff_adobe_deflate")
    yield "bomb g4.tif", saved(Image.new("1", (side, side)), "TIFF", compression="group4")
    flat = Image.new("RGB", (side, side))
    yield (
        "bomb in one strip.tif",
        _tiff(np.broadcast_to(np.uint8(0), (side, side, 3)), compression="zlib", rowsperstrip=side),
    )
    for mode in ("L", "RGB", "CMYK"):
        yield f"bomb {mode}.jpg", saved(flat.convert(mode), "JPEG")
        yield f"bomb {mode} progressive.jpg", saved(flat.convert(mode), "JPEG", progressive=True)
    grey = saved(Image.new("L", (side, side), 128), "JPEG", progressive=True)
    scan = grey[grey.rindex(b"\xff\xda") :][:10]
    yield "bomb of scans.jpg", grey[:-2] + 90 * scan + b"\xff\xd9"
    small = saved(Image.new("L", (2000, 2000), 128), "JPEG", progressive=True)
    yield "many scans.jpg", small[:-2] + 80 * scan + b"\xff\xd9"
    for lossless in (True, False):
        yield f"bomb {lossless}.webp", saved(flat, "WEBP", lossless=lossless, method=0, quality=0)
    clear = Image.new("RGBA", (side, side))
    yield "bomb alpha.webp", saved(clear, "WEBP", lossless=True, method=0, quality=0)
    yield "bomb 16.png", saved(Image.fromarray(np.full((side, side), 65535, np.uint16)), "PNG",
                               compress_level=1)  # fmt: skip
    for channels in (3, 4):
        wide = np.zeros((side, side * 2 // 3, channels), np.uint16)
        yield f"bomb rgb16 {channels}.png", cv2.imencode(".png", wide)[1].tobytes()
    yield "bomb rle.bmp", _run_length_bitmap(side, side)
    for width, height in ((65535, 65535), (2**31 - 1, 2**31 - 1), (0, 0), (0, 90), (2**31, 16)):
        yield f"{width} x {height}.png", _png_header(width, height)
        yield f"{width} x {height}.bmp", _bitmap_header(width, height)
    yield "upside down.bmp", _bitmap_header(100, -100)
    yield "65500 x 65500.jpg", _resized_jpeg(65500, 65500)
    yield "16383 x 16383.webp", _webp_header(16383, 16383)
    yield "2^24 x 2^24.webp", _webp_header(1 << 24, 1 << 24)
    for size in ((1, 1), (15, 400), (16, 16), (1, 60_000), (60_000, 16)):
        for kind in ("PNG", "JPEG", "TIFF", "BMP"):
            yield f"{size}.{kind}", saved(Image.new("L", size, 90), kind)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join([
        b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(bytes(1000))),
        _chunk(b"IEND", b""),
    ])  # fmt: skip


def _bitmap_header(width: int, height: int) -> bytes:
    info = struct.pack("<IIiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1000, 0, 0, 54) + info + bytes(1000)


def _run_length_bitmap(width: int, height: int) -> bytes:
    palette = bytes(1024)
    rows = (b"\xff\x07" * (width // 255) + b"\0\0") * 50 + b"\0\1"
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(rows), 0, 0, 1078) + info + palette + rows


def _resized_jpeg(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.fromarray(GREY), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _webp_header(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + bytes(40)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _tiffs() -> Iterator[tuple[str, bytes]]:
    numbers = {
        "float": GREY.astype(np.float32),
        "float of nan": np.where(GREY > 90, np.nan, GREY).astype(np.float32),
        "float of inf": np.full((HEIGHT, WIDTH), np.inf, np.float32),
        "double": GREY.astype(np.float64),
        "half": GREY.astype(np.float16),
        "complex": GREY.astype(np.complex64),
        "signed": GREY.astype(np.int16),
        "32 bits": GREY.astype(np.uint32),
        "64 bits": GREY.astype(np.uint64),
    }
    for name, values in numbers.items():
        yield f"{name}.tif", _tiff(values)
    yield "planes.tif", _tiff(np.moveaxis(RGB, -1, 0), planarconfig="separate")
    yield "five samples.tif", _tiff(np.dstack([RGB, GREY, GREY]))
    page = Image.fromarray(GREY)
    for count in (2, 300):
        yield f"{count} pages.tif", saved(page, "TIFF", save_all=True, append_images=[page] * count)
    yield "stack.tif", _tiff(np.stack([GREY] * 5))
    fields = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 4000, 277: 1, 278: 64, 279: 4096}
    yield "ends in itself.tif", _directories(fields, 1, 8)
    yield "chain of 3000.tif", _directories({254: 1, **fields}, 3000, 0)
    yield "below itself.tif", _directories({**fields, 330: 8}, 1, 0)
    yield "strip beyond the end.tif", _directories({**fields, 273: 2**31}, 1, 0)
    yield "no width.tif", _directories({**fields, 256: 0}, 1, 0)
    yield "2^32 wide.tif", _directories({**fields, 256: 2**32 - 1, 257: 2**32 - 1}, 1, 0)
    yield "tiles of 60000.tif", _directories({**fields, 322: 60_000, 323: 60_000, 324: 8}, 1, 0)
    yield (
        "tiles of 8000.tif",
        _directories({**fields, 259: 8, 322: 15_984, 323: 15_984, 324: 8, 325: 99}, 1, 0),
    )
    yield "bits of 2^16.tif", _directories({**fields, 258: 65535}, 1, 0)
    yield "packed as 0.tif", _directories({**fields, 259: 0}, 1, 0)
    for tag in (256, 258, 273, 279, 34665, 33723, 700, 34675, 37724):
        yield f"endless {tag}.tif", _directories(fields, 1, 0, endless=tag)
    yield "endless directory.tif", b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(100)
    yield "big and endless.tif", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**63) + bytes(100)
    yield "other end.tif", b"MM\0*" + struct.pack(">I", 2**32 - 4)


def _directories(
    fields: dict[int, int], count: int, last: int, endless: int | None = None
) -> bytes:
    """Directories of `fields`, each leading to the next one, the last to byte `last`."""
    size = 2 + 12 * len({**fields, **({endless: 0} if endless else {})}) + 4
    parts = [b"II*\0" + struct.pack("<I", 8)]
    for number in range(count):
        entries = [(tag, 4, 1, value) for tag, value in fields.items() if tag != endless]
        if endless:
            entries.append((endless, 4, 2**30, 8))
        following = 8 + size * (number + 1) if number + 1 < count else last
        parts.append(struct.pack("<H", len(entries)))
        parts += [struct.pack("<HHII", *entry) for entry in sorted(entries)]
        parts.append(struct.pack("<I", following))
    return b"".join(parts).ljust(4000, b"\0") + GREY[:64, :64].tobytes()


def _pngs() -> Iterator[Odd]:
    sound = saved(Image.fromarray(GREY), "PNG")
    head, rest = sound[:33], sound[33:]
    unfolds = zlib.compress(bytes(100_000_000), 9)
    extra = {
        "profile that unfolds": _chunk(b"iCCP", b"p\0\0" + unfolds),
        "no profile": _chunk(b"iCCP", b"p\0\0" + b"no zlib"),
        "text that unfolds": _chunk(b"zTXt", b"t\0\0" + unfolds),
        "long text": _chunk(b"tEXt", b"t\0" + b"x" * 3_000_000),
        "many texts": b"".join(_chunk(b"tEXt", b"t\0%d" % i) for i in range(20_000)),
        "gamma": _chunk(b"gAMA", struct.pack(">I", 1)),
        "no exif": _chunk(b"eXIf", b"MM\0*" + b"\xff" * 40),
        "unknown": _chunk(b"abCD", bytes(2_000_000)),
        "long bits": _chunk(b"sBIT", b"\xff" * 100),
        "frames": _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    }
    for name, chunk in extra.items():
        yield Odd(f"{name}.png", head + chunk + rest, like=GREY)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY))
    one_byte = b"".join(_chunk(b"IDAT", packed[i : i + 1]) for i in range(len(packed)))
    yield Odd("idat of one byte.png", head + one_byte + _chunk(b"IEND", b""), shows=GREY)
    yield Odd("empty idats.png", head + _chunk(b"IDAT", b"") * 50_000 + rest, like=GREY)
    yield Odd("no data.png", head + _chunk(b"IEND", b""))
    more = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY) + bytes(50_000_000), 9)
    yield Odd("more than its rows.png", head + _chunk(b"IDAT", more) + _chunk(b"IEND", b""),
              like=GREY)  # fmt: skip
    for kind in range(8):
        for bits in (0, 1, 2, 4, 8, 16, 32):
            header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, kind, 0, 0, 1)
            yield Odd(f"kind {kind} of {bits} bits.png", sound[:8] + _chunk(b"IHDR", header) + rest)


def _turned() -> Iterator[Odd]:
    turns = [GREY, GREY[:, ::-1], GREY[::-1, ::-1], GREY[::-1], GREY.T, GREY.T[:, ::-1],
             GREY.T[::-1, ::-1], GREY.T[::-1]]  # fmt: skip
    for orientation in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        shows = turns[orientation - 1] if 1 <= orientation <= 8 else GREY
        for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
            more = (
                {"quality": 95} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
            )
            data = saved(Image.fromarray(GREY), kind, exif=exif, **more)
            shown = np.dstack([shows] * 3) if kind == "WEBP" else shows
            yield Odd(f"turned {orientation}.{kind}", data, shows=shown)
    plain = saved(Image.fromarray(GREY), "JPEG", quality=95)
    for name, exif in {"itself": b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0",
                       "nothing": b"", "noise": b"\xff" * 60_000}.items():  # fmt: skip
        body = b"Exif\0\0" + exif
        segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        yield Odd(f"exif of {name}.jpg", plain[:2] + segment + plain[2:], shows=GREY)
    profile = (
        b"\xff\xe2" + struct.pack(">H", 2 + 14 + 4000) + b"ICC_PROFILE\0\x01\xff" + bytes(4000)
    )
    yield Odd("profile of 255 parts.jpg", plain[:2] + profile + plain[2:], shows=GREY)


def _others() -> Iterator[tuple[str, bytes]]:
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    for kind, count in (("GIF", 1), ("PNG", 1), ("WEBP", 1), ("WEBP", 300), ("MPO", 1)):
        more = {} if kind == "MPO" else {"duration": 50}
        images = [frames[i % 2] for i in range(1, count + 1)]
        yield (
            f"{count + 1} frames.{kind}",
            saved(frames[0], kind, save_all=True, append_images=images, **more),
        )
    for start in (
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"II*\0",
        b"MM\0*",
        b"BM",
        b"RIFF\0\0\0\0WEBP",
    ):
        for rest in (b"", bytes(100), b"\xff" * 5000, bytes(range(256)) * 40):
            yield f"{start!r} and {len(rest)} bytes", start + rest
    for words in (
        b"",
        b"\0",
        bytes(5000),
        b"<svg/>",
        b"%PDF-1.7",
        b"P5 9 9 255 ",
        b"{}",
        b"\xff" * 99,
    ):
        yield f"{words[:10]!r}", words


def _archives() -> Iterator[tuple[str, bytes]]:
    sound = saved(Image.fromarray(GREY), "PNG")
    inner = _packed([("a.png", sound)])
    for _ in range(5):
        inner = _packed([("deeper.zip", inner), ("a.png", sound)])
    yield "nested.zip", inner
    yield "unfolds.zip", _packed([(f"{i}.bmp", bytes(60 << 20)) for i in range(12)])
    yield "one that unfolds.zip", _packed([("a.bmp", bytes(250 << 20))])
    yield "of one name.zip", _packed([("a.png", sound)] * 2000)
    yield "of many.zip", _packed([(f"{i}.txt", b"") for i in range(19_000)])
    yield "of too many.zip", _packed([(f"{i}.png", b"") for i in range(20_500)])
    hostile = ("../../a", "/etc/a", "C:\\a", "a\0", "\u202egnp.", "con", "\x1b[31m", "<b>", "=1+1")
    names = [f"{name}.png" for name in (*hostile, "a" * 60_000, "a/" * 2000 + "a")]
    yield "names.zip", _packed([(name, sound) for name in names])
    packed = _packed([("a.png", sound), ("b.png", sound)])
    for cut in CUTS:
        yield f"cut at {cut}.zip", packed[: int(len(packed) * cut)]
    yield "claims 2^32.zip", packed.replace(struct.pack("<I", len(sound)), b"\xff" * 4)


def _packed(entries: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
