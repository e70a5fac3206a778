"""What it came to that good parts joined a bundle's memory: how parts that people decided on fare
under both versions, and what speaks against the new one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from defectvision.bundle.policy import Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.store.tables import InspectionRow
from defectvision.words import counted

NEARER = 0.5  # log-odds by which a defective part's score falls that lies near what joined
LEAST_ODDS = 1e-7
MOST_NAMED = 5


@dataclass(frozen=True)
class Part:
    """A part that people decided on, under both versions. before, after: its defect scores; was,
    now: the model's verdicts; joined: whether it is remembered now."""

    name: str
    good: bool
    joined: bool
    before: float
    after: float
    was: Verdict
    now: Verdict

    @property
    def passes(self) -> bool:
        return self.now == Verdict.ACCEPT

    @property
    def fell(self) -> float:
        """By how many log-odds the score fell."""
        return _odds(self.before) - _odds(self.after)


@dataclass(frozen=True)
class Remembered:
    """What came of it. bundle: the new version; base: the name of the one that it was made from;
    places: that joined; parts: those that joined first."""

    bundle: LoadedBundle
    base: str
    places: int
    parts: tuple[Part, ...]

    @property
    def joined(self) -> list[Part]:
        return [part for part in self.parts if part.joined]

    @property
    def defective(self) -> list[Part]:
        return [part for part in self.parts if not part.good]

    @property
    def warnings(self) -> list[str]:
        """What speaks against putting the version in force, in sentences; the worst first."""
        said = []
        through = [p for p in self.defective if p.passes and p.was != Verdict.ACCEPT]
        if through:
            said.append(
                f"{counted(len(through), 'defective part')} that {_was(len(through))} stopped "
                f"would pass now: {some_names(through)}."
            )
        nearer = [p for p in self.defective if p not in through and p.fell >= NEARER]
        if nearer:
            said.append(
                f"{counted(len(nearer), 'defective part lies', 'defective parts lie')} nearer to "
                f"what joined than to anything remembered before, and still stopped: "
                f"{some_names(nearer)}."
            )
        if still := [p for p in self.joined if not p.passes]:
            named = "" if self.bundle.line.from_good_parts else ", by the name of a known defect"
            said.append(
                f"{counted(len(still), 'part that joined is', 'parts that joined are')} stopped "
                f"all the same{named}, by a rule or by what the gate says of the picture: "
                f"{some_names(still)}."
            )
        return said

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "line": self.bundle.line.name,
            "bundle": self.bundle.bundle.name,
            "version": self.bundle.version,
            "from": self.base,
            "places": self.places,
            "parts": [asdict(part) for part in self.parts],
            "warnings": self.warnings,
        }

    @property
    def words(self) -> str:
        """How the parts that people decided on fare, in sentences."""
        others = [part for part in self.parts if part.good and not part.joined]
        said = []
        for parts, what in ((others, "other good part"), (self.defective, "defective part")):
            if parts:
                was, now = (
                    sum(verdict != Verdict.ACCEPT for verdict in verdicts)
                    for verdicts in ([p.was for p in parts], [p.now for p in parts])
                )
                said.append(
                    f"Of {counted(len(parts), what)} that people decided on, {was} "
                    f"{_was(was)} stopped, and {now} {_is(now)} now."
                )
        if not self.defective:
            said.append(
                "Nobody has decided on a defective part of this line yet, so it is not known "
                "whether one would pass now."
            )
        return " ".join(said)


def _odds(score: float) -> float:
    kept = min(max(score, LEAST_ODDS), 1 - LEAST_ODDS)
    return math.log(kept / (1 - kept))


def some_names(parts: Sequence[Part] | Sequence[InspectionRow]) -> str:
    """The names of the first few parts, and how many others there are."""
    some = ", ".join(part.name for part in parts[:MOST_NAMED])
    more = len(parts) - MOST_NAMED
    return some if more <= 0 else f"{some} and {counted(more, 'other')}"


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"
