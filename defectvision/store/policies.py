"""Versions of the policy of a line's bundle. The newest is in force; none is ever changed."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.bundle.policy import Policy
from defectvision.store.tables import AuditRow, PolicyRow


def newest(session: Session, line: str, bundle: str) -> PolicyRow | None:
    """The version in force; None where the bundle's own policy is."""
    return session.scalar(
        select(PolicyRow)
        .where(PolicyRow.line == line, PolicyRow.bundle == bundle)
        .order_by(PolicyRow.number.desc())
        .limit(1)
    )


def history(session: Session, line: str, bundle: str) -> list[PolicyRow]:
    """All versions, the newest first."""
    return list(
        session.scalars(
            select(PolicyRow)
            .where(PolicyRow.line == line, PolicyRow.bundle == bundle)
            .order_by(PolicyRow.number.desc())
        )
    )


def save(
    session: Session,
    line: str,
    bundle: str,
    policy: Policy,
    who: str,
    why: str,
    before: Policy,
) -> PolicyRow:
    """Put `policy` in force in place of `before`, with a line in the audit trail.

    Two who save at once: the second fails with IntegrityError rather than overrule unseen.
    """
    last = newest(session, line, bundle)
    row = PolicyRow(
        line=line,
        bundle=bundle,
        number=1 if last is None else last.number + 1,
        content=policy.model_dump(mode="json"),
        who=who,
        why=why,
    )
    session.add(row)
    changed = {
        name: [old, row.content[name]]
        for name, old in before.model_dump(mode="json").items()
        if row.content[name] != old
    }
    details = {"bundle": bundle, "number": row.number, "changed": changed, "why": why}
    session.add(AuditRow(who=who, what="policy saved", line=line, details=details))
    session.flush()
    return row


def policy_of(row: PolicyRow) -> Policy:
    return Policy.model_validate(row.content)
