"""Names in zip files come out as they were written, in whatever encoding that was."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest

from defectvision.inference.archive_names import entry_name


def entry(raw: bytes, flags: int = 0, extra: bytes = b"") -> zipfile.ZipInfo:
    """What zipfile reads from an archive whose directory holds these bytes as a name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        made = zipfile.ZipInfo("x" * len(raw))
        made.extra = extra
        archive.writestr(made, b"content")
    data = file.getvalue().replace(b"x" * len(raw), raw)
    at = data.rindex(b"PK\1\2")
    data = data[: at + 8] + struct.pack("<H", flags) + data[at + 10 :]
    return zipfile.ZipFile(io.BytesIO(data)).infolist()[0]


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("plain.png", "ascii"),
        ("Bild schön.png", "utf-8"),
        ("部品/写真 12.png", "utf-8"),
        ("Bauteil-Höhe.png", "cp437"),
        ("pièce défaut.png", "cp437"),
        ("Bauteil Höhe.png", "cp1252"),
        ("部品_写真.png", "cp932"),
        ("キズあり/カメラ１.png", "cp932"),
        ("不良品/照片 3.png", "gbk"),
        ("划伤.png", "gbk"),
        ("缺陷_零件_左侧.png", "gbk"),
        ("不良/瑕疵照片.png", "big5"),
    ],
)
def test_a_name_comes_out_as_it_was_written(name: str, encoding: str) -> None:
    assert entry_name(entry(name.encode(encoding))) == name


def test_the_flag_of_utf_8_is_believed() -> None:
    name = "écrou ü.png"
    assert entry_name(entry(name.encode(), flags=0x800)) == name


def test_a_unicode_name_beside_counts_while_the_name_is_the_same() -> None:
    raw, name = b"pi?ce.png", "pièce.png"
    for crc, expected in ((zlib.crc32(raw), name), (1, raw.decode())):
        field = b"\1" + struct.pack("<I", crc) + name.encode()
        extra = struct.pack("<HH", 0x7075, len(field)) + field
        assert entry_name(entry(raw, extra=extra)) == expected


def test_bytes_that_fit_nothing_lose_no_file() -> None:
    assert entry_name(entry(b"\xff\xfe\x80.png")).endswith(".png")
