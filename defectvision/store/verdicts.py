"""The policy in the database's words, so that it filters and counts without reading every row.

What `bundle.policy` says of one inspection, these expressions say of all; a test holds them
together.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, String, and_, case, literal, or_
from sqlalchemy import cast as sql_cast

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.decisions import DISPUTED
from defectvision.store.tables import FIRST, InspectionRow

defect_score = InspectionRow.defect_score
decided = InspectionRow.decision != ""
labelled = InspectionRow.decision.not_in(["", DISPUTED])  # by people, be it with no label


def accepted(policy: Policy) -> ColumnElement[bool]:
    """Whether a row's score lies in the policy's first zone; like the others unknown without a
    score."""
    return defect_score < policy.accept_below


def rejected(policy: Policy) -> ColumnElement[bool]:
    """Whether a row's score lies in the policy's last zone."""
    return defect_score >= policy.reject_above


def zone_of(policy: Policy) -> ColumnElement[str]:
    """`policy.zone` of a row's score."""
    return case(
        (accepted(policy), literal(Verdict.ACCEPT.value)),
        (rejected(policy), literal(Verdict.REJECT.value)),
        (defect_score.is_not(None), literal(Verdict.REVIEW.value)),
    )


def verdict_of(policy: Policy) -> ColumnElement[str]:
    """`policy.verdict` of a row."""
    return case(
        (~InspectionRow.judged, literal(Verdict.REVIEW.value)),
        (defect_score.is_(None), literal(Verdict.REJECT.value)),
        (accepted(policy), literal(Verdict.ACCEPT.value)),
        (rejected(policy), literal(Verdict.REJECT.value)),
        else_=literal(Verdict.REVIEW.value),
    )


def final_of(policy: Policy) -> ColumnElement[str]:
    """`Judged.final_verdict` of a row: the decision of people where there is one."""
    return case((decided, InspectionRow.decision), else_=verdict_of(policy))


def label_of(policy: Policy) -> ColumnElement[str]:
    """`policy.label` of a row of a multiclass line."""
    return sql_cast(
        case(
            (accepted(policy), InspectionRow.top_ok),
            (rejected(policy), InspectionRow.top_defect),
            else_=InspectionRow.top,
        ),
        String,
    )


def is_final(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    """Whether class `name` is one of a row's `Judged.final_labels`."""
    given = literal(SEPARATOR) + InspectionRow.decided_label + SEPARATOR
    said = given.contains(f"{SEPARATOR}{name}{SEPARATOR}", autoescape=True)
    return or_(
        and_(labelled, said), and_(~labelled, InspectionRow.judged, is_named(name, policy, line))
    )


def is_named(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    """Whether the policy names class `name` on a row."""
    if line.label_mode == "multiclass":
        return label_of(policy) == name
    reaches = {defect: _reaches(defect, policy, line) for defect in line.defect_names}
    if name not in reaches:
        return literal(False)
    alone = and_(
        rejected(policy),
        InspectionRow.top_defect == name,
        *(~reached for reached in reaches.values()),
    )
    return and_(~accepted(policy), or_(reaches[name], alone))


def reached_bits(names: list[str], policy: Policy, line: Line) -> ColumnElement[int]:
    """The classes whose threshold a row's probabilities reach: bit i for `names[i]`; 0 on an
    accepted row."""
    bits: ColumnElement[int] = literal(0)
    for i, name in enumerate(names):
        bits = bits + case((_reaches(name, policy, line), 1 << i), else_=0)
    return case((accepted(policy), 0), else_=bits)


def _reaches(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    place = line.class_names.index(name)
    probability = (
        getattr(InspectionRow, FIRST[place])
        if place < len(FIRST)
        else InspectionRow.probabilities[name].as_float()
    )
    return probability >= policy.class_threshold(name)
