"""Labels as one text, and the names by which image sets call a good part."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

SEPARATOR = "|"  # between several labels of one image; an empty text is good
UNNAMED_GOOD = "ok"  # the good class of a set whose good images have no label
DEVIATION = "deviation"  # on a line from good parts: whatever is not good and has no other name
# Written as `_plain` gives them: lowercase, words joined by '_'.
GOOD_NAMES = frozenset(
    {
        *("ok", "ok_front", "okay", "good", "free", "mt_free", "normal", "clean"),
        *("no_defect", "no_defects", "defect_free", "non_defective"),
    }
)


def spelled(name: str) -> str:
    """The name of a class as it is kept: composed, without blanks around it. Archives and tools of
    macOS take letters with accents apart, and two spellings that look alike are one class."""
    return unicodedata.normalize("NFC", name.strip())


def label_names(label: str) -> tuple[str, ...]:
    """The single labels of a `|`-separated text, in its order; empty for a good image."""
    return tuple(name for name in label.split(SEPARATOR) if name)


def join_labels(names: Iterable[str]) -> str:
    """The text that `label_names` takes apart."""
    return SEPARATOR.join(names)


def is_good_name(name: str) -> bool:
    """Whether a class of this name means a good part. The one answer for every reader, page and
    command; case, blanks and hyphens do not matter."""
    return _plain(name) in GOOD_NAMES


def is_good_label(label: str) -> bool:
    """Whether an image of this label shows a good part: it has none, or names of good parts."""
    return all(is_good_name(name) for name in label_names(label))


def _plain(name: str) -> str:
    return "_".join(name.casefold().replace("-", " ").replace("_", " ").split())
