"""What was found of a part of the installation: whether it works, in words, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """attention: all works, but somebody should look at it."""

    OK = "ok"
    ATTENTION = "attention"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """Words and remedy are for the people of the plant, as they may name places."""

    part: str
    state: Condition = Condition.OK
    words: str = ""
    remedy: str = ""


def worst(findings: Sequence[Finding]) -> Condition:
    """The state of all together."""
    order = list(Condition)
    return max((one.state for one in findings), key=order.index, default=Condition.OK)
