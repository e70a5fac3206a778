"""What a policy says of scores; the same for an inspection at hand and for one from the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from defectvision.bundle import policy as policies
from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import UNMEASURED, Measured, Policy, Verdict
from defectvision.inference.broken_rules import BrokenRule, broken_rules, measured
from defectvision.inference.gate import Objection, reasons_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from defectvision.bundle.line import Line
    from defectvision.inference.regions import Region


@dataclass(frozen=True)
class Decision:
    """What people decided on a part, as one answer.

    verdict: REVIEW where they disagree and nobody has settled it; labels: the classes that they
    gave, none on a good part; who: their names, as text; at: of the last of them; note: theirs.
    """

    verdict: Verdict
    labels: tuple[str, ...]
    who: str
    at: datetime
    note: str

    @property
    def disputed(self) -> bool:
        return self.verdict == Verdict.REVIEW


class Judged:
    """Scores of one image, and verdict, labels and regions under a policy.

    `verdict` and `labels` are the model's; `final_verdict` and `final_labels` those that count: a
    person's decision where there is one.
    objections: what speaks against any verdict, see inference/gate.py; none on most images.
    lost: why the regions that were asked for last cannot be had; empty where they can.
    """

    name: str
    line: Line
    bundle_version: str
    probabilities: Mapping[str, float]
    defect_score: float | None
    foreign_score: float
    objections: tuple[Objection, ...]
    mask_classes: tuple[str, ...]
    decision: Decision | None = None
    lost: str = ""

    @property
    def times(self) -> Mapping[str, float]:
        """Milliseconds: `decode`, `model` and `total`."""
        raise NotImplementedError

    def regions(self, policy: Policy) -> tuple[Region, ...]:
        """The defect regions under the policy, the largest first; none without masks."""
        raise NotImplementedError

    def known_regions(self, policy: Policy) -> tuple[Region, ...] | None:
        """The regions under the policy; None where they cannot be had, as `lost` says then."""
        return self.regions(policy)

    def broken_rules(self, policy: Policy) -> tuple[BrokenRule, ...]:
        """The policy's rules that the part breaks, the strictest first."""
        return self._by_rules(policy)[0]

    def measured(self, policy: Policy) -> Measured:
        """What the policy's rules say of the part."""
        return self._by_rules(policy)[1]

    def _by_rules(self, policy: Policy) -> tuple[tuple[BrokenRule, ...], Measured]:
        """Kept for the policy that asked last: regions take longer than all else."""
        if not policy.rules:
            return (), UNMEASURED
        asked, answer = self.__dict__.get("_ruled", (None, None))
        if asked != policy or answer is None:
            broken = broken_rules(self.regions(policy), policy, self.mask_classes)
            answer = broken, measured(broken, policy)
            self.__dict__["_ruled"] = policy, answer
        return answer

    def verdict(self, policy: Policy) -> Verdict:
        return policies.verdict(
            self.defect_score,
            policy,
            judged=not self.objections,
            measured=self.measured(policy).verdict,
        )

    def broken_in_words(self, policy: Policy) -> list[str]:
        """See `BrokenRule.in_words`, the strictest first."""
        return [broken.in_words(self.line) for broken in self.broken_rules(policy)]

    @property
    def objection(self) -> str:
        """Why there can be no verdict, in words; empty where nothing speaks against one."""
        return reasons_in_words(self.objections)

    def labels(self, policy: Policy) -> tuple[str, ...]:
        """The classes that the policy names, the most probable first; see `policy.labels`."""
        found = self.measured(policy)
        standing = policy.standing(self.defect_score, found.verdict)
        return policies.labels(self.probabilities, standing, policy, self.line, found)

    @property
    def _settled(self) -> Decision | None:
        """The decision of people, where there is one and nobody disputes it."""
        return None if self.decision is None or self.decision.disputed else self.decision

    def final_verdict(self, policy: Policy) -> Verdict:
        """What becomes of the part."""
        return self.decision.verdict if self.decision else self.verdict(policy)

    def final_labels(self, policy: Policy) -> tuple[str, ...]:
        """The classes that the part belongs to; the model's while people disagree, and none where
        something speaks against any verdict."""
        if (settled := self._settled) is not None:
            return settled.labels
        return () if self.objections else self.labels(policy)

    @property
    def classless(self) -> bool:
        """Whether nobody can name the part's classes: something speaks against any verdict of the
        model and no person has given one, or a person said that it cannot be judged at all."""
        if (settled := self._settled) is not None:
            return settled.verdict == Verdict.UNUSABLE
        return bool(self.objections)

    def main_class(self, policy: Policy) -> str:
        """The class to explain first: the first label, else the most probable class."""
        return next(iter(self.labels(policy)), self.ranking()[0][0])

    def ranking(self) -> list[tuple[str, float]]:
        """Classes and probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])

    def as_json(self, policy: Policy) -> dict[str, Any]:
        """The object that the command line, the page and the API hand out for one image: `labels`
        are all classes with their probabilities, `label` those named by the policy, as one text.
        Where the regions cannot be had they are None, and `lost` says why."""
        named, decision = self.labels(policy), self.decision
        regions = self.known_regions(policy)
        return {
            "path": self.name,
            "line": self.line.name,
            "bundle_version": self.bundle_version,
            "policy": policy.model_dump(),
            "verdict": self.verdict(policy).value,
            "label": join_labels(named),
            "final_verdict": self.final_verdict(policy).value,
            "final_label": join_labels(self.final_labels(policy)),
            "decided_by": decision.who if decision else "",
            "decided_at": decision.at.isoformat() if decision else None,
            "note": decision.note if decision else "",
            "defect_score": self.defect_score,
            "labels": [
                {"name": n, "probability": p, "named": n in named} for n, p in self.ranking()
            ],
            "regions": None if regions is None else [region.as_json() for region in regions],
            "broken_rules": self.broken_in_words(policy),
            "foreign_score": self.foreign_score,
            "objections": [asdict(objection) for objection in self.objections],
            "milliseconds": {name: round(value, 2) for name, value in self.times.items()},
            **({"lost": self.lost} if regions is None else {}),
        }
