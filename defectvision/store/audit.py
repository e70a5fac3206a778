"""Read the audit trail. Its rows are only ever added, beside the change that they tell of."""

from __future__ import annotations

from sqlalchemy import cast, func, or_, select
from sqlalchemy.orm import Session

from defectvision.store.columns import Prose
from defectvision.store.tables import AuditRow

MOST = 2000  # entries of one answer


def trail(session: Session, text: str = "", most: int = MOST) -> tuple[list[AuditRow], int]:
    """The newest `most` entries, the newest first, and how many there are; those alone in which
    `text` stands, whatever its case."""
    wanted = select(AuditRow)
    if text:
        columns = (AuditRow.who, AuditRow.what, AuditRow.line, cast(AuditRow.details, Prose))
        wanted = wanted.where(or_(*(c.icontains(text, autoescape=True) for c in columns)))
    count = session.scalar(select(func.count()).select_from(wanted.subquery())) or 0
    return list(session.scalars(wanted.order_by(AuditRow.id.desc()).limit(most))), count
