"""Counts, times, ends of processes and foreign text as people read them: on pages, in reports, on
the command line."""

from __future__ import annotations

import re
import signal
import unicodedata
from datetime import UTC, datetime

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&^=\"'@/])")
# What a reader of Markdown makes links or other signs of even where it is escaped: an address and
# an arrow between blanks. A word joiner, which nobody sees, goes behind what matches.
_JOINER = "\u2060"
_TURNED = re.compile(r"https?:(?=//)|www(?=\.)|[-.\w+](?=@)|(?<!\S)[-<>~=]{2,3}(?!\S)", re.I)
# The direction of the text (Unicode Bidi_Control) and what no text holds.
_NO_TEXT = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\x00-\x08\x0e-\x1f\x7f-\x9f]"
)
MOST_DECIMALS = 16  # what a float tells apart
_HALVES = re.compile("[\ud800-\udfff]")


def counted(count: int, one: str, several: str = "") -> str:
    """`count` with its noun: "1 file", "2,412 files". several: the plural where it is not `one`
    with an s; both may go on, with a verb for example."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def percentage(share: float, decimals: int = 1) -> str:
    """A share as people read it, "99.5%": with more decimals than asked for where it would else be
    said to be none or all of them, and is not."""
    for digits in range(decimals, MOST_DECIMALS):
        text = f"{share:.{digits}%}"
        if share in (0, 1) or 0 < float(text[:-1]) < 100:
            return text
    return f"{share:.{decimals}%}"


def capital(text: str) -> str:
    """`text` as a sentence begins, the rest as it is."""
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """A time to wait: in s below 90 s, in min below 90 min, else in h."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def in_utc(moment: datetime) -> str:
    """A moment as it is written everywhere, "2026-11-27 23:10 UTC": who reads it need not know
    where the server stands."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def why_ended(status: int, more: str) -> str:
    """Why a process ended early, by its exit status; `more` says where there is more to read."""
    if status == -signal.SIGKILL:
        return (
            "the system ended it, as it does when memory runs out. If it happens again, close "
            "other programs or give this machine more memory"
        )
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}. {more}"
    return f"it broke down with exit status {status}. {more}"


def plain(text: str) -> str:
    """`text` for a place that reads Markdown, so that it shows exactly as it is: no links, no
    pictures, no formats, and nothing that turns its direction."""
    text = _NO_TEXT.sub("\ufffd", " ".join(text.split()))
    return _MARKDOWN.sub(r"\\\1", _TURNED.sub(rf"\g<0>{_JOINER}", text))


def writable(text: str) -> str:
    """`text` with a mark in place of what no database keeps: NUL, and halves of characters."""
    return as_text(text).replace("\0", "\ufffd")


def as_text(text: str) -> str:
    """`text` as every file and database can hold it: what Python keeps of bytes that are no UTF-8
    shows as �."""
    return _HALVES.sub("�", text)


def visible(text: str) -> str:
    """`text` for a terminal: what would move its cursor, turn the direction of the text or show
    nothing stands as an escape such as `\\x1b`, so that a hostile name is shown and not obeyed."""
    return "".join(
        c.encode("unicode_escape").decode("ascii")
        if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        else c
        for c in text
    )
