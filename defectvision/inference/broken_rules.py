"""Which rules of a policy a part breaks, by its regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from defectvision.bundle.line import Line
from defectvision.bundle.policy import (
    STRICTNESS,
    UNMEASURED,
    Measured,
    Policy,
    Verdict,
    class_title,
)
from defectvision.bundle.rules import Rule
from defectvision.inference.regions import Region


@dataclass(frozen=True)
class BrokenRule:
    """A rule, and the regions that break it, the largest first; none where it asks for regions that
    the bundle does not outline: nobody knows then, and the part goes to review."""

    rule: Rule
    regions: tuple[Region, ...]

    @property
    def verdict(self) -> Verdict:
        return Verdict(self.rule.then) if self.regions else Verdict.REVIEW

    def in_words(self, line: Line) -> str:
        """ "reject: Crack longer than 2 mm (3.42 mm)"; "review: 3 or more Pore (5)"."""
        rule, title = self.rule, class_title(self.rule, line)
        if not self.regions:
            return f"review: the bundle does not outline what a rule asks for ({title})"
        found = f"{len(self.regions)}"
        if rule.at_least == 1 and rule.over > 0:
            most = max(_measured(region, rule) for region in self.regions)
            found = f"{most:.4g} {rule.unit_in_words}"
        return f"{rule.in_words(title)} ({found})"


def broken_rules(
    regions: Sequence[Region], policy: Policy, mask_classes: Sequence[str]
) -> tuple[BrokenRule, ...]:
    """The rules that a part with these `regions` breaks, the strictest first.

    regions: as the policy cuts them, the largest first; mask_classes: that the bundle outlines.
    """
    broken = []
    for rule in policy.rules:
        if not mask_classes or rule.class_name not in (None, *mask_classes):
            broken.append(BrokenRule(rule, ()))
            continue
        found = tuple(region for region in regions if _counts(region, rule))
        if len(found) >= rule.at_least:
            broken.append(BrokenRule(rule, found))
    return tuple(sorted(broken, key=lambda found: -STRICTNESS.index(found.verdict)))


def measured(broken: Sequence[BrokenRule], policy: Policy) -> Measured:
    """What the broken rules come to."""
    if not policy.rules:
        return UNMEASURED
    if not broken:
        return Measured(Verdict.ACCEPT)
    strictest = [found for found in broken if found.verdict == broken[0].verdict]
    return Measured(broken[0].verdict, _classes(r for found in strictest for r in found.regions))


def _classes(regions: Iterable[Region]) -> tuple[str, ...]:
    """Of the regions, that of the largest first."""
    ranked = sorted(regions, key=lambda region: -region.area_px)
    return tuple(dict.fromkeys(region.class_name for region in ranked))


def _counts(region: Region, rule: Rule) -> bool:
    """Whether the rule looks at the region and its measure is over the limit."""
    return (
        rule.class_name in (None, region.class_name)
        and (rule.zone is None or rule.zone in region.zones)
        and _measured(region, rule) > rule.over
    )


def _measured(region: Region, rule: Rule) -> float:
    """The region's measure in the rule's unit; see `Policy`: mm only where the scale is known."""
    in_px = {"area": region.area_px, "length": region.length_px, "width": region.width_px}
    if rule.unit == "px":
        return in_px[rule.measure]
    in_mm = {"area": region.area_mm2, "length": region.length_mm, "width": region.width_mm}
    return in_mm[rule.measure] or 0.0
