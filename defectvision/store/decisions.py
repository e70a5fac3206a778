"""What the reviews of a part come to: one decision, which its row keeps."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import and_

from defectvision.bundle.labels import label_names
from defectvision.bundle.policy import Verdict
from defectvision.inference.judged import Decision
from defectvision.store.tables import InspectionRow, ReviewRow

DISPUTED = Verdict.REVIEW.value  # two who disagree leave the part to a third


def standing() -> ColumnElement[bool]:
    """Whether a review is a decision that was not undone."""
    undoing = aliased(ReviewRow)
    return and_(ReviewRow.undoes.is_(None), ~exists().where(undoing.undoes == ReviewRow.id))


def last_words(rows: Sequence[ReviewRow]) -> dict[str, ReviewRow]:
    """The last of the standing reviews `rows`, the oldest first, of each reviewer."""
    return {row.who: row for row in rows}


def settle(session: Session, inspection: int) -> None:
    """Bring the decision that an inspection's row keeps in line with its reviews.

    Who decided several times counts with the last word. Where all agree, that is the decision;
    where they do not, it is DISPUTED until one of them gives way or a third settles it.
    """
    row = session.get_one(InspectionRow, inspection)
    rows = list(
        session.scalars(
            select(ReviewRow)
            .where(ReviewRow.inspection_id == inspection, standing())
            .order_by(ReviewRow.id)
        )
    )
    words = sorted(last_words(rows).values(), key=lambda review: review.id)
    if settling := [review for review in words if review.settles]:
        words = settling[-1:]
    agreed = len({review.decision for review in words}) == 1
    row.decision = "" if not words else words[-1].decision if agreed else DISPUTED
    row.decided_label = words[-1].label if agreed else ""
    row.decided_by = ", ".join(review.who for review in words)
    row.decided_at = words[-1].at if words else None
    row.decided_note = "; ".join(review.why for review in words if review.why)
    session.flush()


def decision_of(row: InspectionRow) -> Decision | None:
    """The decision that a row keeps; None where nobody has decided."""
    if not row.decision or row.decided_at is None:
        return None
    return Decision(
        Verdict(row.decision),
        label_names(row.decided_label),
        row.decided_by,
        row.decided_at,
        row.decided_note,
    )
