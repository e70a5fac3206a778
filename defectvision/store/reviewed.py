"""Images of a line that people decided on, with what they said of them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.bundle.labels import join_labels, label_names
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Verdict
from defectvision.store.batches import get_batch
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import Reviewed
from defectvision.store.tables import BatchRow, ImageState, InspectionRow

SAID = (Verdict.ACCEPT.value, Verdict.REJECT.value)  # that tell what a part is


def reviewed_images(
    session: Session, line: str, source: Reviewed
) -> list[tuple[InspectionRow, BatchRow]]:
    """The inspections with their batches, the oldest first; of a file that was inspected several
    times the one that was decided on last. Those that people disagree about, or called unusable,
    are none. Raises StoreError where a batch is missing or another line's."""
    for number in source.batches:
        if (batch := get_batch(session, number)).line != line:
            raise StoreError(
                f"batch {number} is of line '{batch.line}', not of '{line}'. Name batches of one "
                "line"
            )
    wanted = (
        select(InspectionRow, BatchRow)
        .join(BatchRow, BatchRow.id == InspectionRow.batch_id)
        .where(
            BatchRow.line == line,
            InspectionRow.state == ImageState.DONE,
            InspectionRow.decision.in_(SAID),
        )
        .order_by(InspectionRow.decided_at, InspectionRow.id)
    )
    if source.batches:
        wanted = wanted.where(BatchRow.id.in_(source.batches))
    if source.since is not None:
        wanted = wanted.where(InspectionRow.at >= source.since)
    if source.until is not None:
        wanted = wanted.where(InspectionRow.at < source.until)
    last = {row.digest or f"{row.id}": (row, batch) for row, batch in session.execute(wanted)}
    return sorted(last.values(), key=lambda found: found[0].id)


def truth_of(row: InspectionRow, line: Line) -> str:
    """The label that people gave, as a catalog has it; raises StoreError where they named no class
    of the line."""
    names = [name for name in label_names(row.decided_label) if name in line.class_names]
    if row.decision == Verdict.ACCEPT.value:
        return next(iter(line.good_names), "")
    if not names and line.unnamed_defect is not None:
        names = [line.unnamed_defect]
    if not names:
        raise StoreError(f"{row.name}: was rejected without a class of line '{line.name}'")
    return join_labels(names)
