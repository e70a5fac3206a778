"""The numbers that turn scores into verdicts; every view of a result is a function of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from defectvision.inference.bundle import Line

FOREIGN = 1.0  # a foreign score above this puts an image into review


class Verdict(StrEnum):
    ACCEPT = "accept"
    REVIEW = "review"
    REJECT = "reject"


class Policy(BaseModel):
    """Two thresholds on the defect score: accept below the one, reject from the other on.

    Scores between them go to review. Equal thresholds leave no review.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accept_below: float = Field(0.5, ge=0, le=1)
    reject_above: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.accept_below > self.reject_above:
            raise ValueError(
                f"accept_below ({self.accept_below}) must not exceed "
                f"reject_above ({self.reject_above})"
            )
        return self


def defect_score(probabilities: Mapping[str, float], line: Line) -> float | None:
    """The probability that the part is not good; None where the line has no good class."""
    good = [probabilities[c.name] for c in line.classes if c.kind == "ok"]
    if not good:
        return None
    return 1.0 - sum(good)


def verdict(score: float | None, foreign_score: float, policy: Policy, line: Line) -> Verdict:
    """The verdict on one part.

    A line without a good class cannot accept: all its parts show a defect and are rejected,
    or go to review where the image does not look like this line.
    """
    if foreign_score > FOREIGN:
        return Verdict.REVIEW
    if score is None:
        return Verdict.REJECT
    if score < policy.accept_below:
        return Verdict.ACCEPT
    return Verdict.REJECT if score >= policy.reject_above else Verdict.REVIEW


def label(
    probabilities: Mapping[str, float], score: float | None, policy: Policy, line: Line
) -> str:
    """The class that the policy calls the part: the good one where it accepts on the score, the
    most probable defect where it rejects, and the most probable class of all in between."""
    names: Sequence[str] = [c.name for c in line.classes]
    if score is not None and score < policy.accept_below:
        names = [c.name for c in line.classes if c.kind == "ok"]
    elif score is not None and score >= policy.reject_above:
        names = [c.name for c in line.classes if c.kind == "defect"]
    return max(names, key=lambda name: probabilities[name])
