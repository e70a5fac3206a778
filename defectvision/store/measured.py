"""What the rules of a policy say of a batch's parts, measured once and kept, so that the database
filters and counts by it like by the scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from defectvision.bundle.labels import join_labels
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.database import Store
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import (
    BatchRow,
    ImageState,
    InspectionRow,
    MeasuredRow,
    RuleSetRow,
    now,
)

CHUNK = 500
MOST_SETS = 20  # that are kept beside those of the last minutes; others are measured anew
RECENT = timedelta(minutes=10)

Advance = Callable[[int, int], None]


def key_of(policy: Policy) -> str:
    """SHA-256 of all of a policy that its rules depend on; the thresholds on scores are not."""
    content = policy.model_dump(
        mode="json",
        include={"rules", "zones", "mm_per_px", "smallest_region_px", "mask_thresholds"},
    )
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def measure_parts(
    store: Store, batch: BatchRow, line: Line, policy: Policy, advance: Advance | None = None
) -> None:
    """Measure the batch's inspections that the policy's rules were not asked about yet; nothing
    where it has none. `advance` gets how many are done, of how many.

    Regions are read from the rows where the policy cuts them as when they were inspected; else each
    part's masks are cut again, which takes some ms.
    """
    if not policy.rules:
        return
    rule_set = _rule_set(store, policy)
    missing = (
        InspectionRow.batch_id == batch.id,
        InspectionRow.state == ImageState.DONE,
        ~exists().where(
            MeasuredRow.rule_set_id == rule_set, MeasuredRow.inspection_id == InspectionRow.id
        ),
    )
    with store.reading() as session:
        total = session.scalar(select(func.count()).where(*missing)) or 0
    done = 0
    while done < total:
        with store.reading() as session:
            chunk = select(InspectionRow).where(*missing).order_by(InspectionRow.id).limit(CHUNK)
            rows = [
                _measured(StoredInspection(row, line, batch, store.files), policy, rule_set)
                for row in session.scalars(chunk)
            ]
        if not rows:
            return
        try:
            with store.session() as session:
                session.add_all(rows)
        except IntegrityError:
            continue  # somebody else measured some of them meanwhile
        done += len(rows)
        if advance is not None:
            advance(done, total)


def _measured(part: StoredInspection, policy: Policy, rule_set: int) -> MeasuredRow:
    found = part.measured(policy)
    classes: tuple[str, ...] = ()
    if part.line.label_mode == "multilabel":
        classes = found.classes
    elif found.verdict == Verdict.REJECT:  # see `policy.label`
        classes = found.classes[:1]
    return MeasuredRow(
        rule_set_id=rule_set,
        inspection_id=part.id,
        verdict=found.verdict,
        label=join_labels(classes),
    )


def _rule_set(store: Store, policy: Policy) -> int:
    """The number of the policy's rules in the database; those long out of use make room."""
    key = key_of(policy)
    wanted = select(RuleSetRow).where(RuleSetRow.key == key)
    with store.reading() as session:
        found = session.scalar(wanted)
    if found is not None and now() - found.used < RECENT / 2:
        return found.id
    with store.session() as session:
        found = session.scalar(wanted)
        if found is not None:
            session.execute(update(RuleSetRow).where(RuleSetRow.id == found.id).values(used=now()))
            return found.id
        _make_room(session)
    try:
        with store.session() as session:
            made = RuleSetRow(key=key)
            session.add(made)
    except IntegrityError:  # somebody else was first
        return _rule_set(store, policy)
    return made.id


def _make_room(session: Session) -> None:
    last = select(RuleSetRow.id).order_by(RuleSetRow.used.desc()).limit(MOST_SETS)
    old = RuleSetRow.id.not_in(last), RuleSetRow.used < now() - RECENT
    session.execute(delete(RuleSetRow).where(*old))


def verdict_by_rules(policy: Policy) -> ColumnElement[str]:
    """The verdict of the policy's rules on a row; review where it was not measured."""
    return func.coalesce(_of_row(policy, MeasuredRow.verdict), literal(Verdict.REVIEW.value))


def label_by_rules(policy: Policy) -> ColumnElement[str]:
    """The classes of the broken rules of a row, `|` between several; empty without any."""
    return func.coalesce(_of_row(policy, MeasuredRow.label), literal(""))


def _of_row(policy: Policy, column: SQLColumnExpression[str]) -> ColumnElement[str]:
    rule_set = select(RuleSetRow.id).where(RuleSetRow.key == key_of(policy)).scalar_subquery()
    return (
        select(column)
        .where(
            MeasuredRow.rule_set_id == rule_set,
            MeasuredRow.inspection_id == InspectionRow.id,
        )
        .scalar_subquery()
    )
