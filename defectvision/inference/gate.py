"""What must hold before there is a verdict at all: the picture looks like what was learned, and
is good enough to judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

UNLIKE = "unlike this line"
LIMIT = 1.0  # a foreign score above this is of an image that does not look like the line


@dataclass(frozen=True)
class Objection:
    """Why there can be no verdict on an image, in plain words.

    kind: `unlike`, it is not what the model has learned to judge; `quality`, the picture is not
    good enough.
    """

    kind: Literal["unlike", "quality"]
    words: str


def reasons_in_words(objections: Iterable[Objection]) -> str:
    """All reasons as one text; empty without any."""
    return "; ".join(objection.words for objection in objections)


def objections_to(foreign_score: float) -> tuple[Objection, ...]:
    """What a foreign score alone objects to."""
    return (Objection("unlike", UNLIKE),) if foreign_score > LIMIT else ()
