"""Write what became of images into their rows, and find answers that are known already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from defectvision.store.age import age_of
from defectvision.store.dropped import drop
from defectvision.store.rows import Columns
from defectvision.store.tables import ImageState, InspectionRow, MeasuredRow


def known_answers(
    session: Session, digests: Collection[str], version: str
) -> dict[str, InspectionRow]:
    """Answers of this bundle for these files, by digest."""
    rows = session.scalars(
        select(InspectionRow).where(
            InspectionRow.digest.in_(digests),
            InspectionRow.bundle_version == version,
            InspectionRow.state == ImageState.DONE,
        ).order_by(InspectionRow.id.desc())
    )  # fmt: skip
    return {row.digest: row for row in rows if row.digest}


def write_answers(
    session: Session, rows: Iterable[InspectionRow], answers: Mapping[int, Columns]
) -> None:
    """What to write into each of `rows`, by its number."""
    if not answers:
        return
    age = age_of(session)
    session.execute(
        update(InspectionRow), [{"id": row, "aged": age, **c} for row, c in answers.items()]
    )
    # Uploaded pictures lay in the store before it was known whether they stay.
    given = (answers[row.id] for row in rows if row.id in answers and not row.path)
    drop(session, (columns["digest"] for columns in given if columns.get("stored") is False))


def mend_answers(session: Session, lost: InspectionRow, answer: Columns) -> None:
    """Give all rows whose record or thumbnail was lost those of the same image's new answer; what
    rules said of them without it is forgotten."""
    parts = select(InspectionRow.id).where(InspectionRow.record == lost.record)
    session.execute(delete(MeasuredRow).where(MeasuredRow.inspection_id.in_(parts)))
    for name in ("record", "thumbnail"):
        there = getattr(InspectionRow, name) == getattr(lost, name)
        session.execute(update(InspectionRow).where(there).values({name: answer[name]}))


def inspect_again(session: Session, rows: Iterable[int]) -> None:
    """Have images that failed wait once more: their files are not what they were."""
    session.execute(
        update(InspectionRow)
        .where(InspectionRow.id.in_(list(rows)))
        .values(state=ImageState.WAITING, reason="", remedy="", digest=None, stamp="")
    )


def count_tries(session: Session, rows: Iterable[int], by: int = 1, least: int = 0) -> None:
    """Change how often inspecting images was begun."""
    begun = update(InspectionRow).where(InspectionRow.id.in_(list(rows)))
    if least:
        begun = begun.where(InspectionRow.tries < least).values(tries=least)
    else:
        begun = begun.values(tries=InspectionRow.tries + by)
    session.execute(begun)
