"""What the reviews of a part come to: one decision, which its row keeps."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import and_

from defectvision.bundle.labels import join_labels, label_names
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Verdict
from defectvision.inference.judged import Decision
from defectvision.store.errors import ContradictionError
from defectvision.store.tables import InspectionRow, ReviewRow

DISPUTED = Verdict.REVIEW.value  # two who disagree leave the part to a third


def label_to_keep(line: Line, decision: str, label: str) -> str:
    """The label that a decision is kept with: its classes in the line's order, and the line's
    `unnamed_defect` where a rejection names none. Raises ContradictionError where decision and
    label contradict each other, so that no rejected part is ever learned from as a good one."""
    named = set(label_names(label))
    if unknown := sorted(named - set(line.class_names)):
        raise ContradictionError(
            f"line '{line.name}' has no class '{unknown[0]}'; known are: "
            f"{', '.join(line.class_names)}"
        )
    if decision == Verdict.REJECT:
        if wrong := sorted(named & set(line.good_names)):
            raise ContradictionError(
                f"a part cannot be rejected as '{wrong[0]}', which is good: name its defect, or "
                "accept it"
            )
        if not named and line.unnamed_defect is None:
            raise ContradictionError(
                "a rejected part needs its defect, or it would be learned from as a good one: "
                f"name {' or '.join(line.defect_names) or 'one'}"
            )
        named = named or {line.unnamed_defect or ""}
        if len(named) > 1 and line.label_mode == "multiclass":
            raise ContradictionError(f"a part of line '{line.name}' has one class: name one defect")
    elif decision == Verdict.ACCEPT and not line.can_accept:
        raise ContradictionError(
            f"line '{line.name}' knows no good part, so none can be accepted: reject it with its "
            "defect, or call it unusable"
        )
    elif wrong := sorted(named - (set(line.good_names) if decision == Verdict.ACCEPT else set())):
        doing = "accepted" if decision == Verdict.ACCEPT else f"called {decision}"
        raise ContradictionError(
            f"a part cannot be {doing} as '{wrong[0]}': reject it with that class, or leave the "
            "class away"
        )
    return join_labels(name for name in line.class_names if name in named)


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
