"""Which inspections are meant, and how they are sorted: what the pages, the API and exports ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict

Order = Literal["listed", "name", "verdict", "label", "defect_score", "foreign_score"]


@dataclass(frozen=True)
class Filter:
    """What an inspection must be; an empty set does not restrict.

    classes: any of these is named by the policy. low, high: bounds of the defect score, both
    included. text: occurs in the name, whatever its case. reviewed: by anyone, True or False.
    """

    verdicts: frozenset[Verdict] = frozenset()
    classes: frozenset[str] = frozenset()
    low: float = 0.0
    high: float = 1.0
    text: str = ""
    reviewed: bool | None = None


EVERYTHING = Filter()


@dataclass(frozen=True)
class Selection:
    """The inspections of a batch that a filter leaves under a policy."""

    batch: int
    line: Line
    policy: Policy
    filter: Filter = EVERYTHING

    @property
    def words(self) -> str:
        """The filter as people say it."""
        chosen, words = self.filter, []
        if chosen.verdicts:
            words.append("verdict " + " or ".join(sorted(v.value for v in chosen.verdicts)))
        if chosen.classes:
            titles = [c.title for c in self.line.classes if c.name in chosen.classes]
            words.append("label " + " or ".join(titles))
        if chosen.low > 0 or chosen.high < 1:
            words.append(f"defect score {chosen.low:.2f} to {chosen.high:.2f}")
        if chosen.text:
            words.append(f"name contains '{chosen.text}'")
        if chosen.reviewed is not None:
            words.append("reviewed" if chosen.reviewed else "not reviewed")
        return ", ".join(words) or "all images"


@dataclass(frozen=True)
class Sorting:
    """The order of a table; rows that are equal in it stand as they were listed."""

    by: Order = "listed"
    descending: bool = False


AS_LISTED = Sorting()
