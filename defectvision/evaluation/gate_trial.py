"""Try a gate on images that it has not learned from, and on damaged pictures of defective parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import OWN, GateRate
from defectvision.data.image_set import ImageSet
from defectvision.data.synthetic.foreign import DAMAGED
from defectvision.evaluation.evaluate import labelled
from defectvision.evaluation.gate import rate, stopped
from defectvision.evaluation.gate_images import STRUCTURELESS, Sight, as_file
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import read_pixels

LEAST_STOPPED = 0.95  # share of all foreign images, kinds counting the same
MOST_ALARMS = 0.01  # share of the line's own images


@dataclass(frozen=True)
class Damage:
    """Defective parts under one damage of their pictures: how many there are, how many their score
    would accept, and how many are accepted."""

    parts: int
    by_score: int
    accepted: int


def try_gate(inspector: Inspector, sights: Sequence[Sight]) -> dict[str, GateRate]:
    """The rates of the bundle's gate on the unknown ones of `sights`, by kind."""
    tried = [sight for sight in sights if not sight.known]
    rates = {}
    for kind in dict.fromkeys(sight.kind for sight in tried):
        these = [sight for sight in tried if sight.kind == kind]
        rates[kind] = rate(these, stopped(inspector.gatekeeper, these))
    return rates


def try_damage(inspector: Inspector, images: ImageSet, policy: Policy) -> dict[str, Damage]:
    """The line's defective parts of `images` under every damage; nothing where the line cannot
    accept."""
    line = inspector.line
    if not line.can_accept:
        return {}
    labels = labelled(images.catalog, line).table["label"]
    defective = np.flatnonzero((labels != "") & ~labels.isin(line.good_names)).tolist()
    found = {}
    for name, damage in DAMAGED.items():
        parts = by_score = accepted = 0
        for row in defective:
            try:
                inspection = inspector.inspect(as_file(damage(read_pixels(images, row))), name)
            except ImageError:
                continue
            parts += 1
            by_score += policy.zone(inspection.defect_score) == Verdict.ACCEPT
            accepted += inspection.verdict(policy) == Verdict.ACCEPT
        found[name] = Damage(parts, by_score, accepted)
    return found


def stopped_of_all(rates: dict[str, GateRate]) -> float:
    """The share of foreign images that is stopped, every kind counting the same."""
    foreign = [r.review.value for kind, r in rates.items() if kind not in (OWN, STRUCTURELESS)]
    return float(np.mean([value for value in foreign if value is not None])) if foreign else 1.0


def misses(rates: dict[str, GateRate], damaged: dict[str, Damage]) -> list[str]:
    """What of the aims is not reached, in words."""
    found = []
    if OWN in rates and (rates[OWN].review.value or 0) > MOST_ALARMS:
        found.append(f"{rates[OWN].review.value:.2%} of the line's own images go to review")
    if STRUCTURELESS in rates and rates[STRUCTURELESS].review.value != 1:
        found.append(f"{rates[STRUCTURELESS].review.value:.2%} of frames without structure do")
    if (all_of := stopped_of_all(rates)) < LEAST_STOPPED:
        found.append(f"{all_of:.1%} of foreign images do")
    for name, damage in damaged.items():
        if damage.accepted:
            found.append(f"{damage.accepted} of {damage.parts} accepted under {name}")
    return found
