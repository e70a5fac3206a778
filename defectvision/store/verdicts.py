"""The policy in the database's words, so that it filters and counts without reading every row.

What `bundle.policy` says of one inspection, these expressions say of all; a test holds them
together.
"""

from __future__ import annotations

from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    String,
    and_,
    case,
    func,
    literal,
    null,
    or_,
)
from sqlalchemy import cast as sql_cast

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.decisions import DISPUTED
from defectvision.store.measured import label_by_rules, verdict_by_rules
from defectvision.store.tables import FIRST, InspectionRow

defect_score = InspectionRow.defect_score
decided = InspectionRow.decision != ""
labelled = InspectionRow.decision.not_in(["", DISPUTED])  # by people, be it with no label


def accepted(policy: Policy) -> ColumnElement[bool]:
    """Whether a row stands in the policy's first zone, see `policy.standing`; like the others
    unknown without a score."""
    return _stands(defect_score < policy.accept_below, Verdict.ACCEPT, policy)


def rejected(policy: Policy) -> ColumnElement[bool]:
    """Whether a row stands in the policy's last zone."""
    return _stands(defect_score >= policy.reject_above, Verdict.REJECT, policy)


def _stands(by_score: ColumnElement[bool], as_what: Verdict, policy: Policy) -> ColumnElement[bool]:
    """Whether a row stands as accepted or as rejected: by score, by rules, or by both, of which the
    stricter counts."""
    if not policy.rules:
        return by_score
    by_rules = verdict_by_rules(policy) == as_what.value
    if not policy.score_decides:
        return by_rules
    return and_(by_score, by_rules) if as_what == Verdict.ACCEPT else or_(by_score, by_rules)


def standing_of(policy: Policy) -> ColumnElement[str]:
    """`policy.standing` of a row."""
    return case(
        (defect_score.is_(None), null()),
        (accepted(policy), literal(Verdict.ACCEPT.value)),
        (rejected(policy), literal(Verdict.REJECT.value)),
        else_=literal(Verdict.REVIEW.value),
    )


def verdict_of(policy: Policy) -> ColumnElement[str]:
    """`policy.verdict` of a row."""
    return case(
        (~InspectionRow.judged, literal(Verdict.REVIEW.value)),
        else_=func.coalesce(standing_of(policy), literal(Verdict.REJECT.value)),
    )


def final_of(policy: Policy) -> ColumnElement[str]:
    """`Judged.final_verdict` of a row: the decision of people where there is one."""
    return case((decided, InspectionRow.decision), else_=verdict_of(policy))


def label_of(policy: Policy) -> ColumnElement[str]:
    """`policy.label` of a row of a multiclass line."""
    return sql_cast(
        case(
            (defect_score.is_(None), InspectionRow.top),
            (accepted(policy), InspectionRow.top_ok),
            (rejected(policy), _rejected_as(policy)),
            else_=InspectionRow.top,
        ),
        String,
    )


def _rejected_as(policy: Policy) -> SQLColumnExpression[str | None]:
    """The class of a rejected row of a multiclass line: that of the rule that rejects it, else the
    most probable defect."""
    if not policy.rules:
        return InspectionRow.top_defect
    return func.coalesce(func.nullif(label_by_rules(policy), ""), InspectionRow.top_defect)


def final_label_of(policy: Policy, line: Line) -> ColumnElement[str]:
    """What rows are sorted by where their labels are: those of people where they gave some, none
    where something speaks against any verdict, else the model's, of a multilabel line its most
    probable defect, where the part is not accepted."""
    if line.label_mode == "multiclass":
        by_model: SQLColumnExpression[str | None] = label_of(policy)
    else:
        by_model = case((accepted(policy), literal("")), else_=InspectionRow.top_defect)
    return case(
        (labelled, InspectionRow.decided_label),
        (~InspectionRow.judged, literal("")),
        else_=by_model,
    )


def is_final(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    """Whether class `name` is one of a row's `Judged.final_labels`."""
    said = _among(name, InspectionRow.decided_label)
    return or_(
        and_(labelled, said), and_(~labelled, InspectionRow.judged, is_named(name, policy, line))
    )


def _among(name: str, labels: SQLColumnExpression[str]) -> ColumnElement[bool]:
    """Whether `name` is one of several classes in one text."""
    text = literal(SEPARATOR) + labels + SEPARATOR
    return text.contains(f"{SEPARATOR}{name}{SEPARATOR}", autoescape=True)


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
    """The classes that thresholds and broken rules name on a row: bit i for `names[i]`; 0 on an
    accepted row."""
    bits: ColumnElement[int] = literal(0)
    for i, name in enumerate(names):
        bits = bits + case((_reaches(name, policy, line), 1 << i), else_=0)
    return case((accepted(policy), 0), else_=bits)


def _reaches(name: str, policy: Policy, line: Line) -> ColumnElement[bool]:
    """Whether class `name` of a multilabel line is named by its threshold or by a broken rule."""
    place = line.class_names.index(name)
    probability = (
        getattr(InspectionRow, FIRST[place])
        if place < len(FIRST)
        else InspectionRow.probabilities[name].as_float()
    )
    reaches = probability >= policy.class_threshold(name)
    return or_(reaches, _among(name, label_by_rules(policy))) if policy.rules else reaches
