"""Files of a folder or zip file that are no images: passed over, counted and said."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePath

from defectvision.words import counted

NO_SUFFIX, OTHER = "without suffix", "of other kinds"
MOST_KINDS = 20
_SUFFIX = re.compile(r"\.[\w-]{1,11}")  # what is worth showing; a name may end in anything


class PassedOver(Counter[str]):
    """How many files of each kind: their suffix in small letters, NO_SUFFIX or OTHER. Hidden files
    are not among them."""

    def add(self, path: PurePath) -> None:
        """Count a file by its name."""
        suffix = path.suffix.lower()
        kind = suffix if _SUFFIX.fullmatch(suffix) else OTHER if suffix else NO_SUFFIX
        if kind not in self and len(self) >= MOST_KINDS:
            kind = OTHER
        self[kind] += 1

    @property
    def words(self) -> str:
        """For example "12 files passed over: 10 .txt, 2 .xml"; empty where there are none."""
        if not self:
            return ""
        kinds = sorted(self.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
        return f"{counted(self.total(), 'file')} passed over: {shown}"
