"""Versions of the policy of a line's bundle. The newest is in force; none is ever changed.

A policy is for the scores of one model. Where a bundle was trained or calibrated anew, which its
own policy tells, the saved one says nothing of it: every part goes to review until one is saved
anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from defectvision.bundle.policy import Policy, PolicyInForce, check_fits
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, Person, needs
from defectvision.store.errors import StoreError
from defectvision.store.tables import AuditRow, PolicyRow


def in_force(session: Session, line: str, bundle: str, own: Policy) -> PolicyInForce:
    """The policy that everyone judges by: the newest that was saved for the line's bundle while its
    own was `own`, else `own` where none was ever saved. Every surface asks here, so that all give
    the same verdict."""
    rows = history(session, line, bundle)
    if not rows:
        return PolicyInForce(own)
    row = rows[0] if rows[0].own is None else next((r for r in rows if _is_of(r, own)), None)
    if row is None:
        return PolicyInForce(reviewing(own), outdated=rows[0].number)
    return PolicyInForce(policy_of(row), row.number, row.who, row.why, row.made)


def reviewing(own: Policy) -> Policy:
    """A policy by which every part that is judged by its score goes to review."""
    return own.model_copy(update={"accept_below": 0.0, "reject_above": 1.0, "rules": ()})


def _is_of(row: PolicyRow, own: Policy) -> bool:
    """Whether a version was saved for the model whose own policy is `own`."""
    return row.own is not None and Policy.model_validate(row.own) == own


def history(session: Session, line: str, bundle: str) -> list[PolicyRow]:
    """All versions, the newest first."""
    return list(
        session.scalars(
            select(PolicyRow)
            .where(PolicyRow.line == line, PolicyRow.bundle == bundle)
            .order_by(PolicyRow.number.desc())
        )
    )


@needs(Action.POLICY)
def save(
    session: Session,
    line: str,
    bundle: str,
    policy: Policy,
    who: Person,
    why: str,
    before: Policy,
    own: Policy | None = None,
) -> PolicyRow:
    """Put `policy` in force in place of `before`, with a line in the audit trail.

    own: the bundle's own policy, by which it is known for which model it is; None where nobody
    knows it. Raises StoreError where another one than `before` is in force by now: it would be
    overruled unseen, and the audit trail would not say so. Two who save at the same moment: the
    second fails with IntegrityError.
    """
    now = in_force(session, line, bundle, before if own is None else own)
    if now.policy != before:
        raise StoreError(
            f"{now.words} is in force for {line}/{bundle} by now, another one than you have seen. "
            "Look at it first, and save again"
        )
    last = _newest(session, line, bundle)
    row = PolicyRow(
        line=line,
        bundle=bundle,
        number=1 if last is None else last.number + 1,
        content=policy.model_dump(mode="json"),
        own=None if own is None else own.model_dump(mode="json"),
        who=who.kept_as,
        why=why,
    )
    session.add(row)
    changed = {
        name: [_said(before, name), _said(policy, name)]
        for name, old in before.model_dump(mode="json").items()
        if row.content[name] != old
    }
    details = {"bundle": bundle, "number": row.number, "changed": changed, "why": why}
    session.add(AuditRow(who=row.who, what="policy saved", line=line, details=details))
    session.flush()
    return row


@needs(Action.POLICY)
def restore(
    session: Session,
    loaded: LoadedBundle,
    number: int | None,
    who: Person,
    why: str,
    before: Policy,
) -> PolicyRow:
    """Put an earlier version in force again, as a new one; `number` None for the bundle's own.
    Raises ValueError where there is none of that number, or it does not fit the bundle, and what
    `save` raises."""
    line, bundle = loaded.line.name, loaded.bundle.name
    policy = loaded.bundle.policy
    if number is not None:
        row = session.scalar(
            select(PolicyRow).where(
                PolicyRow.line == line, PolicyRow.bundle == bundle, PolicyRow.number == number
            )
        )
        if row is None:
            raise ValueError(f"{line}/{bundle} has no policy {number}")
        policy = policy_of(row)
    check_fits(policy, loaded.line, loaded.bundle.mask_classes)
    return save(session, line, bundle, policy, who, why, before, loaded.bundle.policy)


def _said(policy: Policy, field: str) -> Any:
    """A field as the audit trail says it: rules in words, zones by name."""
    if field == "rules":
        return [rule.in_words(rule.class_name or "any defect") for rule in policy.rules]
    if field == "zones":
        return [f"{zone.name}{', ignored' if zone.ignored else ''}" for zone in policy.zones]
    return policy.model_dump(mode="json")[field]


def policy_of(row: PolicyRow) -> Policy:
    """The numbers of one version."""
    return Policy.model_validate(row.content)


def _newest(session: Session, line: str, bundle: str) -> PolicyRow | None:
    return session.scalar(
        select(PolicyRow)
        .where(PolicyRow.line == line, PolicyRow.bundle == bundle)
        .order_by(PolicyRow.number.desc())
        .limit(1)
    )
