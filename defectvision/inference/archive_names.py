"""Names in zip files as they were meant, whatever encoding wrote them."""

from __future__ import annotations

import zipfile
import zlib
from itertools import pairwise

UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075  # Info-ZIP's extra field with the name in UTF-8 (APPNOTE 4.6.9)
# What zip programs of Asian systems write without saying so, and for each its lead bytes of common
# characters: kana and the first level of JIS X 0208; the first level of GB 2312 and its full-width
# forms; frequent characters of Big5; Hangul syllables of KS X 1001.
_COMMON: dict[str, tuple[range, ...]] = {
    "cp932": (range(0x81, 0x84), range(0x88, 0x98)),
    "gb18030": (range(0xA1, 0xA4), range(0xB0, 0xD8)),
    "big5": (range(0xA4, 0xC7),),
    "cp949": (range(0xB0, 0xC9),),
}
_LIKELY = 0.9  # share of the double bytes that must be common ones


def entry_name(entry: zipfile.ZipInfo) -> str:
    """The name of an entry.

    zipfile reads a name without the UTF-8 flag as code page 437. Many programs write UTF-8 there,
    or the code page of their system; a name that is none of these stays as it was read.
    """
    if entry.flag_bits & UTF8_FLAG:
        return entry.orig_filename
    if stated := _unicode_path(entry):
        return stated
    try:
        raw = entry.orig_filename.encode("cp437")
    except UnicodeEncodeError:  # not from code page 437: zipfile was told better
        return entry.orig_filename
    if raw.isascii():
        return entry.orig_filename
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _latin(raw) or _in_code_page(raw) or entry.orig_filename


def _unicode_path(entry: zipfile.ZipInfo) -> str:
    at, extra = 0, entry.extra
    while at + 4 <= len(extra):
        kind = int.from_bytes(extra[at : at + 2], "little")
        size = int.from_bytes(extra[at + 2 : at + 4], "little")
        field = extra[at + 4 : at + 4 + size]
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            # It counts only while the name that it stands for is still the same.
            crc = zlib.crc32(entry.orig_filename.encode("cp437", "replace"))
            if crc == int.from_bytes(field[1:5], "little"):
                return field[5:].decode("utf-8", "replace")
        at += 4 + size
    return ""


def _latin(raw: bytes) -> str:
    """The name in a Western code page, where each byte above ASCII stands alone, as accented
    letters mostly do; empty where two stand together or one of them is no letter."""
    high = [byte > 0x7F for byte in raw]
    if any(one and other for one, other in pairwise(high)):
        return ""
    for encoding in ("cp437", "cp1252"):
        text = raw.decode(encoding, "replace")
        if all(c.isascii() or (c.isalpha() and c < "\u0180") for c in text):
            return text
    return ""


def _in_code_page(raw: bytes) -> str:
    """The name in the code page in which most of its double bytes are common characters; empty
    where none fits."""
    best, text = _LIKELY, ""
    for encoding, leads in _COMMON.items():
        try:
            decoded = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        doubles = [c.encode(encoding) for c in decoded if len(c.encode(encoding)) > 1]
        common = [d for d in doubles if any(d[0] in lead for lead in leads)]
        share = len(common) / len(doubles) if doubles else 0.0
        if share > best or (share == best == 1.0 and not text):
            best, text = share, decoded
    return text
