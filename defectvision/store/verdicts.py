"""The policy in the database's words, so that it filters and counts without reading every row.

What `inference.policy` says of one inspection, these expressions say of all; a test holds them
together.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, String, and_, case, literal, or_
from sqlalchemy import cast as sql_cast

from defectvision.bundle.line import Line
from defectvision.bundle.policy import FOREIGN, Policy, Verdict
from defectvision.store.tables import FIRST, InspectionRow

defect_score = InspectionRow.defect_score


def verdict_of(policy: Policy) -> ColumnElement[str]:
    """`policy.verdict` of a row."""
    return case(
        (InspectionRow.foreign_score > FOREIGN, literal(Verdict.REVIEW.value)),
        (defect_score.is_(None), literal(Verdict.REJECT.value)),
        (defect_score < policy.accept_below, literal(Verdict.ACCEPT.value)),
        (defect_score >= policy.reject_above, literal(Verdict.REJECT.value)),
        else_=literal(Verdict.REVIEW.value),
    )


def label_of(policy: Policy) -> ColumnElement[str]:
    """`policy.label` of a row of a multiclass line."""
    return sql_cast(
        case(
            (defect_score < policy.accept_below, InspectionRow.top_ok),
            (defect_score >= policy.reject_above, InspectionRow.top_defect),
            else_=InspectionRow.top,
        ),
        String,
    )


def is_named(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    """Whether the policy names class `name` on a row."""
    if line.label_mode == "multiclass":
        return label_of(policy) == name
    reaches = {c.name: _reaches(c.name, policy, line) for c in line.classes if c.kind == "defect"}
    if name not in reaches:
        return literal(False)
    alone = and_(
        defect_score >= policy.reject_above,
        InspectionRow.top_defect == name,
        *(~reached for reached in reaches.values()),
    )
    return and_(defect_score >= policy.accept_below, or_(reaches[name], alone))


def reached_bits(names: list[str], policy: Policy, line: Line) -> ColumnElement[int]:
    """The classes whose threshold a row's probabilities reach: bit i for `names[i]`; 0 on an
    accepted row."""
    bits = literal(0)
    for i, name in enumerate(names):
        bits = bits + case((_reaches(name, policy, line), 1 << i), else_=0)
    return case((defect_score < policy.accept_below, 0), else_=bits)


def zone_of(policy: Policy) -> ColumnElement[int]:
    """Where a row's score lies: 0 below both thresholds or without a score, 1 between, 2 above."""
    return case((defect_score >= policy.reject_above, 2), (defect_score >= policy.accept_below, 1),
                else_=0)  # fmt: skip


def _reaches(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    place = line.class_names.index(name)
    probability = (
        getattr(InspectionRow, FIRST[place])
        if place < len(FIRST)
        else InspectionRow.probabilities[name].as_float()
    )
    return probability >= policy.class_threshold(name)
