"""What people decided, and how far they agree with the model and with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from defectvision.bundle.policy import Policy, Verdict
from defectvision.people import Action, Person, needs
from defectvision.store.batches import get_batch, line_of
from defectvision.store.decisions import DISPUTED, label_to_keep, last_words, settle, standing
from defectvision.store.errors import StoreError
from defectvision.store.inspections import matching
from defectvision.store.releases import refuse_released
from defectvision.store.selection import Selection
from defectvision.store.tables import ImageState, InspectionRow, ReviewRow
from defectvision.store.verdicts import decided, defect_score, final_of, verdict_of

# What a person can decide; undoing a decision is a row of its own.
DECISIONS = (Verdict.ACCEPT.value, Verdict.REJECT.value, Verdict.UNUSABLE.value)
APPRAISED = DECISIONS[:2]  # those that say what a part is worth
UNDO = "undo"
MOST = 200  # of a queue
Part = Literal["waiting", "disputed", "second", "rest"]


@needs(Action.DECIDE)
def decide(
    session: Session,
    inspection: int,
    who: Person,
    decision: str,
    policy: Policy,
    label: str = "",
    why: str = "",
) -> ReviewRow:
    """Add a decision; it counts at once. Raises StoreError where it is none, the inspection is
    missing or its lot is released, and ContradictionError where decision and label contradict each
    other; see `label_to_keep`. The decision of a third on what others dispute settles it."""
    if decision not in DECISIONS:
        raise StoreError(f"'{decision}' is no decision; give {' or '.join(DECISIONS)}")
    if not who.name:
        raise StoreError("a decision needs a name: say who decides")
    row = session.get(InspectionRow, inspection)
    if row is None or row.state != ImageState.DONE:
        raise StoreError(f"inspection {inspection} is not there to be decided on")
    refuse_released(session, row.batch_id)
    _alone(session, row)
    line = line_of(get_batch(session, row.batch_id))
    label = label_to_keep(line, decision, label)
    verdict = session.scalar(select(verdict_of(policy)).where(InspectionRow.id == inspection))
    name = who.kept_as
    others = last_words(reviews_of(session, [inspection]).get(inspection, []))
    review = ReviewRow(
        inspection_id=inspection,
        who=name,
        decision=decision,
        label=label,
        why=why,
        policy=policy.model_dump(mode="json"),
        model_verdict=verdict,
        settles=row.decision == DISPUTED and name not in others,
    )
    session.add(review)
    session.flush()
    settle(session, inspection)
    return review


@needs(Action.DECIDE)
def undo(session: Session, review: int, who: Person, why: str = "") -> ReviewRow:
    """Take one's own decision back, by a row that says so; raises StoreError where it does not
    stand or is somebody else's."""
    there = session.get(ReviewRow, review)
    part = None if there is None else session.get(InspectionRow, there.inspection_id)
    if part is not None:
        # The lot is held before the part, as by who deletes it: else both wait for each other.
        refuse_released(session, part.batch_id)
        _alone(session, part)
    found = session.scalar(select(ReviewRow).where(ReviewRow.id == review, standing()))
    if found is None:
        raise StoreError(f"review {review} is not there or was undone already")
    if found.who != who.kept_as:
        raise StoreError(f"review {review} is {found.who}'s, who alone can take it back")
    row = ReviewRow(
        inspection_id=found.inspection_id,
        who=who.kept_as,
        decision=UNDO,
        why=why,
        policy=found.policy,
        model_verdict=found.model_verdict,
        undoes=found.id,
    )
    session.add(row)
    session.flush()
    settle(session, found.inspection_id)
    return row


def _alone(session: Session, row: InspectionRow) -> None:
    """Let others who decide on the part at the same moment wait until this session ends: what the
    reviews come to is made of all of them. Its lot is held already, else it may be gone."""
    session.refresh(row, with_for_update=True)


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
    session: Session, selection: Selection, who: str, part: Part = "waiting", most: int = MOST
) -> list[InspectionRow]:
    """Images of the selection for `who` to decide on, the most doubtful (nearest the middle between
    the thresholds) first; those that the model sends to review before all others.

    part: "waiting" for a person, by the model or as others dispute it; "disputed", those that
    `who` disputes too; "second", what others decided on and `who` has not; "rest", what the model
    is sure of and nobody has decided on.
    """
    policy = selection.policy
    mine = select(ReviewRow.inspection_id).where(ReviewRow.who == who, standing())
    others = select(ReviewRow.inspection_id).where(ReviewRow.who != who, standing())
    waits = final_of(policy) == Verdict.REVIEW.value
    parts: dict[Part, list[ColumnElement[bool]]] = {
        "waiting": [waits, InspectionRow.id.not_in(mine)],
        "disputed": [InspectionRow.decision == DISPUTED],
        "second": [InspectionRow.id.in_(others), InspectionRow.id.not_in(mine)],
        "rest": [~waits, ~decided],
    }
    middle = (policy.accept_below + policy.reject_above) / 2
    order = (
        verdict_of(policy) != Verdict.REVIEW.value,
        func.abs(func.coalesce(defect_score, middle) - middle),
        InspectionRow.id,
    )
    waiting = select(InspectionRow).where(*matching(selection), *parts[part])
    return list(session.scalars(waiting.order_by(*order).limit(most)))


def stopped_good(session: Session, selection: Selection) -> list[InspectionRow]:
    """The parts of the selection that people accepted and the model would not have, as listed; but
    not those whose picture the gate objects to."""
    verdict, accept = verdict_of(selection.policy), Verdict.ACCEPT.value
    wanted = select(InspectionRow).where(
        *matching(selection),
        InspectionRow.decision == accept,
        InspectionRow.judged,
        verdict != accept,
    )
    return list(session.scalars(wanted.order_by(InspectionRow.id)))


@dataclass(frozen=True)
class Progress:
    """Parts that wait for a person, those of them that are disputed, and those decided on."""

    waiting: int
    disputed: int
    decided: int


def progress(session: Session, selection: Selection) -> Progress:
    """How far people are with a selection."""
    waits = final_of(selection.policy) == Verdict.REVIEW.value
    disputed = InspectionRow.decision == DISPUTED
    counts = [func.sum(case((what, 1), else_=0)) for what in (waits, disputed, decided & ~disputed)]
    row = session.execute(select(*counts).where(*matching(selection))).one()
    return Progress(*(count or 0 for count in row))


def last_of(session: Session, batch: int, who: str) -> ReviewRow | None:
    """The newest decision of `who` in a batch that stands."""
    return session.scalar(
        select(ReviewRow)
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(InspectionRow.batch_id == batch, ReviewRow.who == who, standing())
        .order_by(ReviewRow.id.desc())
        .limit(1)
    )


def said_so_far(session: Session, batch: int) -> int:
    """How many reviews a batch has, with those that undo others; any decision adds one. The newest
    number would not tell: of two who decide at once, the first number may be the last to count."""
    reviews = (
        select(func.count(ReviewRow.id))
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(InspectionRow.batch_id == batch)
    )
    return session.scalar(reviews) or 0


def decided_in(session: Session, batch: int) -> dict[int, list[ReviewRow]]:
    """Decisions that stand in a batch, by inspection as listed."""
    rows = session.scalars(
        select(ReviewRow)
        .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
        .where(InspectionRow.batch_id == batch, standing())
        .order_by(ReviewRow.inspection_id, ReviewRow.id)
    )
    return _by_inspection(rows)


def reviewers_of(session: Session, batch: int) -> list[str]:
    """Who decided on parts of a batch, of the decisions that stand."""
    return list(
        session.scalars(
            select(ReviewRow.who)
            .join(InspectionRow, InspectionRow.id == ReviewRow.inspection_id)
            .where(InspectionRow.batch_id == batch, standing())
            .distinct()
            .order_by(ReviewRow.who)
        )
    )


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
    not count), and every two reviewers against each other; the last standing decision of each,
    where it says what the part is worth."""
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
        if verdict in APPRAISED and selection.line.can_accept:
            votes[MODEL] = verdict
    worth = [{name: v for name, v in votes.items() if v in APPRAISED} for votes in parts.values()]
    pairs = []
    for first, second in combinations([*people, MODEL], 2):
        both = (votes for votes in worth if first in votes and second in votes)
        counts = Counter((votes[first], votes[second]) for votes in both)
        if counts:
            pairs.append(Agreement(first, second, dict(counts)))
    return pairs
