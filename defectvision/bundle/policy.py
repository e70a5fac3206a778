"""The numbers that turn scores into verdicts; every view of a result is a function of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from defectvision.bundle.line import Line
from defectvision.bundle.rules import Rule, Zone

HALF = 0.5
MOST_DECIMALS, MOST_DIGITS = 6, 17  # that are read at a glance; that tell all floats apart
ACCEPT_BELOW, REJECT_FROM = "accept below", "reject from"  # what the two thresholds are called
RULES_ALONE = "the rules alone decide"
NO_ACCEPTING = "names defects and cannot accept a part"  # of a line without a good class


class Verdict(StrEnum):
    """What becomes of a part. Only a person says that a picture is unusable: that it shows no part,
    or shows it too badly to be judged by anybody."""

    ACCEPT = "accept"
    REVIEW = "review"
    REJECT = "reject"
    UNUSABLE = "unusable"


STRICTNESS = (Verdict.ACCEPT, Verdict.REVIEW, Verdict.REJECT)


Probability = Annotated[float, Field(ge=0, le=1)]


class Policy(BaseModel):
    """Two thresholds on the defect score: accept below the one, reject from the other on.

    Scores between them go to review. Equal thresholds leave no review.

    class_thresholds: from which probability on a multilabel line names a class; mask_thresholds:
    from which probability on a pixel belongs to a class's mask; 0.5 for a class that is not named.
    smallest_region_px: connected areas of fewer px of the image are left out. mm_per_px: the
    scale of the picture, where it is known. zones: places of the part, ignored or named by rules;
    rules: limits on the regions. score_decides: whether the stricter of score and rules is the
    verdict, else the rules alone are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    accept_below: Probability = 0.5
    reject_above: Probability = 0.5
    class_thresholds: dict[str, Probability] = {}
    mask_thresholds: dict[str, Probability] = {}
    smallest_region_px: int = Field(0, ge=0)
    mm_per_px: float | None = Field(None, gt=0)
    zones: tuple[Zone, ...] = Field((), max_length=50)
    rules: tuple[Rule, ...] = Field((), max_length=100)
    score_decides: bool = True

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.accept_below > self.reject_above:
            raise ValueError(
                f"accept_below ({self.accept_below}) must not exceed "
                f"reject_above ({self.reject_above})"
            )
        return self

    @model_validator(mode="after")
    def _rules_can_be_applied(self) -> Self:
        names = [zone.name for zone in self.zones]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two zones are named '{min(twice)}'")
        usable = {zone.name for zone in self.zones if not zone.ignored}
        for rule in self.rules:
            if rule.zone is not None and rule.zone not in usable:
                raise ValueError(f"a rule names zone '{rule.zone}', which is not drawn or ignored")
            if rule.unit == "mm" and self.mm_per_px is None:
                raise ValueError("a rule is in mm, and the scale of the picture is not known")
        if not (self.rules or self.score_decides):
            raise ValueError("the rules alone shall decide, and there is none")
        return self

    def zone(self, score: float | None) -> Verdict | None:
        """The verdict on a defect score alone; None where the line gives no score."""
        if score is None:
            return None
        if score < self.accept_below:
            return Verdict.ACCEPT
        return Verdict.REJECT if score >= self.reject_above else Verdict.REVIEW

    def standing(self, score: float | None, measured: Verdict | None) -> Verdict | None:
        """What score and rules say together; None where the line gives no score.

        measured: the verdict of the rules, None where there are none.
        """
        zone = self.zone(score)
        if zone is None or measured is None:
            return zone
        return max(zone, measured, key=STRICTNESS.index) if self.score_decides else measured

    def class_threshold(self, name: str) -> float:
        return self.class_thresholds.get(name, HALF)

    def mask_threshold(self, name: str) -> float:
        return self.mask_thresholds.get(name, HALF)

    @property
    def bands(self) -> tuple[tuple[float, float, Verdict], ...]:
        """The parts of the defect score's 0..1, each from the one number to the other, with the
        verdict on scores in it; none that is empty."""
        bands = (
            (0.0, self.accept_below, Verdict.ACCEPT),
            (self.accept_below, self.reject_above, Verdict.REVIEW),
            (self.reject_above, 1.0, Verdict.REJECT),
        )
        return tuple(band for band in bands if band[1] > band[0])


def threshold_text(value: float, digits: int = 4) -> str:
    """A threshold as it is written for people everywhere."""
    return f"{value:.{digits}g}"


def beside_thresholds(score: float, policy: Policy, decimals: int = 3) -> tuple[str, str, str]:
    """A defect score and the two thresholds as people read them: with as many decimals, `decimals`
    at least, as it takes to see on which side of each threshold the score lies. "0.500" beside an
    "accept below 0.5" would contradict the verdict on 0.4996. Where MOST_DECIMALS do not tell, with
    as few digits as do: "3e-20" beside 0."""
    thresholds = (policy.accept_below, policy.reject_above)
    sides = _sides(score, *thresholds)
    for digits in range(decimals, MOST_DECIMALS + 1):
        low, high = (_digits(value, digits + 1) for value in thresholds)
        shown = f"{score:.{digits}f}"
        if _sides(float(shown), float(low), float(high)) == sides:
            return shown, low, high
    for digits in range(decimals + 1, MOST_DIGITS + 1):
        shown, low, high = (_digits(value, digits) for value in (score, *thresholds))
        if _sides(float(shown), float(low), float(high)) == sides:
            break
    return shown, low, high


def decimals_beside(scores: Iterable[float | None], policy: Policy, decimals: int = 3) -> int:
    """How many decimals a column of defect scores takes, see `beside_thresholds`; MOST_DECIMALS at
    most, as one score must not make all others hard to read."""
    known = (score for score in scores if score is not None)
    texts = (beside_thresholds(score, policy, decimals)[0] for score in known)
    needed = [len(text.partition(".")[2]) for text in texts if "e" not in text]
    return min(max([decimals, *needed]), MOST_DECIMALS)


def _digits(value: float, digits: int) -> str:
    """A number with so many digits, and with no more than tell it from all other floats."""
    return min(threshold_text(value, digits), str(value).removesuffix(".0"), key=len)


def _sides(score: float, *thresholds: float) -> list[int]:
    """Whether the score is below (-1), at (0) or above (1) each threshold."""
    return [(score > threshold) - (score < threshold) for threshold in thresholds]


def thresholds_in_words(policy: Policy) -> str:
    """The two thresholds on the defect score: "accept below 0.3, reject from 0.7"."""
    return (
        f"{ACCEPT_BELOW} {threshold_text(policy.accept_below)}, "
        f"{REJECT_FROM} {threshold_text(policy.reject_above)}"
    )


def in_words(policy: Policy, line: Line, mask_classes: Sequence[str] = ()) -> str:
    """All numbers of a policy that results of a bundle with `mask_classes` depend on."""
    words = [_verdict_in_words(policy, line)]
    if line.label_mode == "multilabel":
        named = (f"{n} {threshold_text(policy.class_threshold(n))}" for n in line.class_names)
        words.append(f"classes named from {', '.join(named)}")
    if mask_classes:
        levels = (f"{n} {threshold_text(policy.mask_threshold(n))}" for n in mask_classes)
        words.append(f"masks from {', '.join(levels)}")
        words.append(f"regions from {policy.smallest_region_px} px")
        scale = policy.mm_per_px
        words.append("no scale" if scale is None else f"{scale:.4g} mm per px")
    return "; ".join([*words, *_rules_in_words(policy, line)])


def regions_in_words(policy: Policy, line: Line) -> str:
    """What decides besides the score, for a table that has columns for the thresholds: whether the
    rules alone do, zones that are ignored, and the rules; empty where there is nothing."""
    alone = [] if policy.score_decides else [RULES_ALONE]
    return "; ".join([*alone, *_rules_in_words(policy, line)])


def _rules_in_words(policy: Policy, line: Line) -> list[str]:
    ignored = [zone.name for zone in policy.zones if zone.ignored]
    left_out = [f"ignored: {', '.join(ignored)}"] if ignored else []
    return [*left_out, *(rule_in_words(rule, line) for rule in policy.rules)]


def _verdict_in_words(policy: Policy, line: Line) -> str:
    if not line.can_accept:
        return NO_ACCEPTING
    return thresholds_in_words(policy) if policy.score_decides else RULES_ALONE


def rule_in_words(rule: Rule, line: Line) -> str:
    """ "reject: Crack longer than 2 mm"."""
    return rule.in_words(class_title(rule, line))


def class_title(rule: Rule, line: Line) -> str:
    """What a rule calls the regions that it looks at."""
    name = rule.class_name
    if name is None:
        return "any defect"
    return line.title_of(name) if name in line.class_names else name


def check_fits(policy: Policy, line: Line, mask_classes: Sequence[str]) -> None:
    """Raises ValueError where a bundle with `mask_classes` could not follow the policy: a rule that
    never holds would let defective parts out in silence."""
    if not mask_classes and (policy.rules or policy.zones):
        raise ValueError("the policy has rules or zones, and the bundle outlines no regions")
    if policy.rules and not line.can_accept:
        raise ValueError(f"the policy has rules, and line '{line.name}' {NO_ACCEPTING}")
    for rule in policy.rules:
        if rule.class_name is not None and rule.class_name not in mask_classes:
            raise ValueError(
                f"a rule names class '{rule.class_name}', which the bundle does not outline; it "
                f"outlines {', '.join(mask_classes)}"
            )


@dataclass(frozen=True)
class Measured:
    """What the rules say of a part.

    verdict: None where there are none; classes: of the regions that break the strictest of those
    that are broken, the largest region's first.
    """

    verdict: Verdict | None = None
    classes: tuple[str, ...] = ()


UNMEASURED = Measured()


@dataclass(frozen=True)
class PolicyInForce:
    """The policy that everyone's verdicts follow, and where it comes from.

    number, who, why, at: of the version that was saved for everyone; None and empty where the
    bundle's own policy is in force. frozen: what a released lot says of the policy that it was
    judged by; empty of any other. outdated: number of the newest that was saved, where it is for an
    earlier model of the bundle; every part goes to review then.
    """

    policy: Policy
    number: int | None = None
    who: str = ""
    why: str = ""
    at: datetime | None = None
    frozen: str = ""
    outdated: int | None = None

    @property
    def words(self) -> str:
        """Which policy it is, as people say it."""
        if self.frozen:
            return self.frozen
        if self.outdated is not None:
            return (
                f"review of every part, as policy {self.outdated} was saved for an earlier model "
                "of this bundle"
            )
        if self.number is None:
            return "the bundle's own policy"
        return f"policy {self.number} of {self.who}, saved for everyone"


def defect_score(probabilities: Mapping[str, float], line: Line) -> float | None:
    """The probability that the part is not good: 1 less that of the good class, or the largest of
    a multilabel line's defects. None where the line has no good class."""
    if line.label_mode == "multilabel":
        return max(probabilities[c.name] for c in line.classes if c.kind == "defect")
    good = [probabilities[c.name] for c in line.classes if c.kind == "ok"]
    if not good:
        return None
    return 1.0 - sum(good)


def verdict(
    score: float | None, policy: Policy, *, judged: bool, measured: Verdict | None = None
) -> Verdict:
    """The verdict on one part.

    judged: whether the gate objects to nothing; else the part goes to review whatever its score
    is. measured: the verdict of the rules, None where there are none. A line without a good class
    cannot accept: all its parts show a defect and are rejected.
    """
    if not judged:
        return Verdict.REVIEW
    return policy.standing(score, measured) or Verdict.REJECT


def labels(
    probabilities: Mapping[str, float],
    standing: Verdict | None,
    policy: Policy,
    line: Line,
    broken: Measured = UNMEASURED,
) -> tuple[str, ...]:
    """The classes that the policy names on the part, the most probable first.

    standing: what score and rules say of it, see `Policy.standing`; broken: what the rules say.
    Exactly one where the line is multiclass, see `label`. On a multilabel line those whose
    probability reaches their threshold, and those of broken rules; none on a good part. The verdict
    has the last word: an accepted part has none, and a rejected one at least its most probable
    defect.
    """
    if line.label_mode == "multiclass":
        return (label(probabilities, standing, line, broken),)
    if standing == Verdict.ACCEPT:
        return ()
    ranked = sorted(
        (c.name for c in line.classes if c.kind == "defect"), key=lambda n: -probabilities[n]
    )
    named = tuple(
        n for n in ranked if probabilities[n] >= policy.class_threshold(n) or n in broken.classes
    )
    return named or (tuple(ranked[:1]) if standing == Verdict.REJECT else ())


def label(
    probabilities: Mapping[str, float],
    standing: Verdict | None,
    line: Line,
    broken: Measured = UNMEASURED,
) -> str:
    """The class that the policy calls a part of a multiclass line: the good one where it accepts,
    that of the rule that rejects it, the most probable defect where the score alone does, and the
    most probable class of all in between."""
    names = line.class_names
    if standing == Verdict.ACCEPT:
        names = line.good_names
    elif standing == Verdict.REJECT:
        if broken.verdict == Verdict.REJECT and broken.classes:
            return broken.classes[0]
        names = line.defect_names
    return max(names, key=lambda name: probabilities[name])
