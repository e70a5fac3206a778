"""What people decided, and how far they agree with the model and with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.errors import StoreError
from defectvision.store.inspections import matching, standing
from defectvision.store.selection import Selection
from defectvision.store.tables import ImageState, InspectionRow, ReviewRow
from defectvision.store.verdicts import defect_score, verdict_of

# A decision is accept or reject; undoing one is a row of its own.
DECISIONS = (Verdict.ACCEPT.value, Verdict.REJECT.value)
UNDO = "undo"
MOST = 200  # of a queue


def decide(
    session: Session,
    inspection: int,
    who: str,
    decision: str,
    policy: Policy,
    label: str = "",
    why: str = "",
) -> ReviewRow:
    """Add a decision; raises StoreError where it is none or the inspection is missing."""
    if decision not in DECISIONS:
        raise StoreError(f"'{decision}' is no decision; give {' or '.join(DECISIONS)}")
    if not who.strip():
        raise StoreError("a decision needs a name: say who decides")
    row = session.get(InspectionRow, inspection)
    if row is None or row.state != ImageState.DONE:
        raise StoreError(f"inspection {inspection} is not there to be decided on")
    verdict = session.scalar(select(verdict_of(policy)).where(InspectionRow.id == inspection))
    review = ReviewRow(
        inspection_id=inspection,
        who=who.strip()[:200],
        decision=decision,
        label=label,
        why=why,
        policy=policy.model_dump(mode="json"),
        model_verdict=verdict,
    )
    session.add(review)
    session.flush()
    return review


def undo(session: Session, review: int, who: str, why: str = "") -> ReviewRow:
    """Take a decision back, by a row that says so; raises StoreError where it does not stand."""
    found = session.scalar(select(ReviewRow).where(ReviewRow.id == review, standing()))
    if found is None:
        raise StoreError(f"review {review} is not there or was undone already")
    row = ReviewRow(
        inspection_id=found.inspection_id,
        who=who.strip()[:200],
        decision=UNDO,
        why=why,
        policy=found.policy,
        model_verdict=found.model_verdict,
        undoes=found.id,
    )
    session.add(row)
    session.flush()
    return row


def reviews_of(session: Session, inspections: Iterable[int]) -> dict[int, list[ReviewRow]]:
    """Decisions that stand, by inspection, the oldest first."""
    rows = session.scalars(
        select(ReviewRow)
        .where(ReviewRow.inspection_id.in_(list(inspections)), standing())
        .order_by(ReviewRow.id)
    )
    return _by_inspection(rows)


def _by_inspection(rows: Iterable[ReviewRow]) -> dict[int, list[ReviewRow]]:
    found: dict[int, list[ReviewRow]] = {}
    for row in rows:
        found.setdefault(row.inspection_id, []).append(row)
    return found


def trail(session: Session, inspection: int) -> list[ReviewRow]:
    """All that was ever decided on an inspection, undone or not, the oldest first."""
    return list(
        session.scalars(
            select(ReviewRow).where(ReviewRow.inspection_id == inspection).order_by(ReviewRow.id)
        )
    )


def queue(
    session: Session, selection: Selection, who: str, second: bool = False, most: int = MOST
) -> list[InspectionRow]:
    """Images of the selection that wait for a decision of `who`: those to review first, the most
    doubtful (nearest the middle between the thresholds) first of all.

    second: those that another has decided on and `who` has not, for a second opinion; else those
    that nobody has decided on.
    """
    mine = select(ReviewRow.inspection_id).where(ReviewRow.who == who, standing())
    others = select(ReviewRow.inspection_id).where(ReviewRow.who != who, standing())
    policy = selection.policy
    middle = (policy.accept_below + policy.reject_above) / 2
    waiting = select(InspectionRow).where(
        *matching(selection),
        InspectionRow.id.not_in(mine),
        InspectionRow.id.in_(others) if second else InspectionRow.id.not_in(others),
    )
    order = (
        verdict_of(policy) != Verdict.REVIEW.value,
        func.abs(func.coalesce(defect_score, middle) - middle),
        InspectionRow.id,
    )
    return list(session.scalars(waiting.order_by(*order).limit(most)))


def last_of(session: Session, batch: int, who: str) -> ReviewRow | None:
    """The newest decision of `who` in a batch that stands."""
    return session.scalar(
        select(ReviewRow)
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(InspectionRow.batch_id == batch, ReviewRow.who == who, standing())
        .order_by(ReviewRow.id.desc())
        .limit(1)
    )


def decided(session: Session, batch: int) -> dict[int, list[ReviewRow]]:
    """Decisions that stand in a batch, by inspection as listed."""
    rows = session.scalars(
        select(ReviewRow)
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(InspectionRow.batch_id == batch, standing())
        .order_by(ReviewRow.inspection_id, ReviewRow.id)
    )
    return _by_inspection(rows)


@dataclass(frozen=True)
class Agreement:
    """Two who judged the same parts, as attribute agreement analysis compares appraisers.

    counts: pairs (first, second) of decisions. Cohen's kappa (Cohen 1960) is agreement beyond
    what chance gives, 1 where both always agree, None where both only ever say one thing.
    """

    first: str
    second: str
    counts: dict[tuple[str, str], int]

    @property
    def parts(self) -> int:
        return sum(self.counts.values())

    @property
    def share(self) -> float | None:
        """Parts on which they agree, of all."""
        same = sum(n for (a, b), n in self.counts.items() if a == b)
        return same / self.parts if self.parts else None

    @property
    def kappa(self) -> float | None:
        if len({decision for pair in self.counts for decision in pair}) < 2:
            return None
        from sklearn.metrics import cohen_kappa_score

        first, second = zip(*self.counts, strict=True)
        return float(cohen_kappa_score(first, second, sample_weight=list(self.counts.values())))


MODEL = "model"


def agreements(session: Session, selection: Selection) -> list[Agreement]:
    """Every reviewer against the model's verdict under the policy (parts it leaves to review do
    not count), and every two reviewers against each other; the last standing decision of each."""
    verdict_of_model = verdict_of(selection.policy)
    rows = session.execute(
        select(ReviewRow.inspection_id, ReviewRow.who, ReviewRow.decision, verdict_of_model)
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(*matching(selection), standing())
        .order_by(ReviewRow.id)
    )
    parts: dict[int, dict[str, str]] = {}
    people: dict[str, None] = {}
    for inspection, who, decision, verdict in rows:
        votes = parts.setdefault(inspection, {})
        votes[who] = decision
        people.setdefault(who)
        if verdict in DECISIONS and selection.line.can_accept:
            votes[MODEL] = verdict
    pairs = []
    for first, second in combinations([*people, MODEL], 2):
        both = (v for v in parts.values() if first in v and second in v)
        counts = Counter((votes[first], votes[second]) for votes in both)
        if counts:
            pairs.append(Agreement(first, second, dict(counts)))
    return pairs
