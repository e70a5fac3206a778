"""Find, count and page through inspections under a policy, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    SQLColumnExpression,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from defectvision.bundle.policy import Verdict
from defectvision.store.selection import AS_LISTED, Order, Selection, Sorting
from defectvision.store.tables import BINS, ImageState, InspectionRow, ReviewRow
from defectvision.store.verdicts import (
    defect_score,
    is_named,
    label_of,
    reached_bits,
    verdict_of,
    zone_of,
)

CHUNK = 500


@dataclass(frozen=True)
class Summary:
    """What a filter leaves under a policy.

    verdicts: images of each; classes: images on which each class is named, the most frequent
    first; scores: (BINS,) int, images per bin of the defect score.
    """

    images: int
    verdicts: dict[Verdict, int]
    classes: dict[str, int]
    scores: NDArray[np.int64]

    @property
    def yield_share(self) -> float | None:
        """Accepted parts of those that have a verdict of accept or reject."""
        decided = self.verdicts[Verdict.ACCEPT] + self.verdicts[Verdict.REJECT]
        return self.verdicts[Verdict.ACCEPT] / decided if decided else None


def standing() -> ColumnElement[bool]:
    """Whether a review is a decision that was not undone."""
    undoing = aliased(ReviewRow)
    return and_(ReviewRow.undoes.is_(None), ~exists().where(undoing.undoes == ReviewRow.id))


def matching(selection: Selection) -> list[ColumnElement[bool]]:
    """The conditions that a selection puts on inspections."""
    chosen, policy, line = selection.filter, selection.policy, selection.line
    conditions = [
        InspectionRow.batch_id == selection.batch,
        InspectionRow.state == ImageState.DONE,
    ]
    if chosen.verdicts:
        conditions.append(verdict_of(policy).in_(sorted(chosen.verdicts)))
    if chosen.classes:
        named = (is_named(name, policy, line) for name in sorted(chosen.classes))
        conditions.append(or_(*named))
    if chosen.low > 0:
        conditions.append(defect_score >= chosen.low)
    if chosen.high < 1:
        conditions.append(defect_score <= chosen.high)
    if chosen.text:
        conditions.append(InspectionRow.name.icontains(chosen.text, autoescape=True))
    if chosen.reviewed is not None:
        seen = exists().where(ReviewRow.inspection_id == InspectionRow.id, standing())
        conditions.append(seen if chosen.reviewed else ~seen)
    return conditions


def summarize(session: Session, selection: Selection) -> Summary:
    """Counts of all that is selected, from one pass over it."""
    policy, line = selection.policy, selection.line
    named: tuple[SQLColumnExpression[Any], ...]
    if line.label_mode == "multiclass":
        names = list(line.class_names)
        named = (label_of(policy), literal(0), literal(0))
    else:
        names = list(line.defect_names)
        named = (InspectionRow.top_defect, zone_of(policy), reached_bits(names, policy, line))
    rows = session.execute(
        select(verdict_of(policy), InspectionRow.score_bin, *named, func.count())
        .where(*matching(selection))
        .group_by(*(literal_column(str(i)) for i in range(1, 6)))
    )
    verdicts = dict.fromkeys(Verdict, 0)
    classes = dict.fromkeys(names, 0)
    scores = np.zeros(BINS, np.int64)
    for verdict, place, top, zone, reached, count in rows:
        verdicts[Verdict(verdict)] += count
        if place is not None:
            scores[place] += count
        if line.label_mode == "multiclass":
            classes[top] += count
        elif zone in (Verdict.REVIEW, Verdict.REJECT):  # as `policy.labels` does
            bits = reached or (1 << names.index(top) if zone == Verdict.REJECT else 0)
            for i, name in enumerate(names):
                classes[name] += count if bits >> i & 1 else 0
    ranked = sorted(classes.items(), key=lambda pair: (-pair[1], pair[0]))
    return Summary(sum(verdicts.values()), verdicts, dict(ranked), scores)


def page(
    session: Session,
    selection: Selection,
    sorting: Sorting = AS_LISTED,
    first: int = 0,
    most: int = 50,
) -> list[InspectionRow]:
    """A page of what is selected, in an order that is the same every time."""
    rows = select(InspectionRow).where(*matching(selection)).order_by(*_keys(selection, sorting))
    return list(session.scalars(rows.offset(first).limit(most)))


def place_of(
    session: Session, selection: Selection, number: int, sorting: Sorting = AS_LISTED
) -> int | None:
    """How many rows of the order stand before inspection `number`; None where it is not there."""
    rank = func.row_number().over(order_by=_keys(selection, sorting)).label("rank")
    ranked = select(InspectionRow.id, rank).where(*matching(selection)).subquery()
    place = session.scalar(select(ranked.c.rank).where(ranked.c.id == number))
    return None if place is None else place - 1


def every(session: Session, selection: Selection) -> Iterator[InspectionRow]:
    """All that is selected, as listed, a few at a time in memory."""
    last = 0
    while True:
        rows = list(
            session.scalars(
                select(InspectionRow)
                .where(*matching(selection), InspectionRow.id > last)
                .order_by(InspectionRow.id)
                .limit(CHUNK)
            )
        )
        if not rows:
            return
        last = rows[-1].id
        yield from rows
        for row in rows:
            session.expunge(row)


def _keys(selection: Selection, sorting: Sorting) -> tuple[SQLColumnExpression[Any], ...]:
    one_label = selection.line.label_mode == "multiclass"
    keys: dict[Order, SQLColumnExpression[Any]] = {
        "listed": InspectionRow.id,
        "name": InspectionRow.name,
        "verdict": verdict_of(selection.policy),
        "label": label_of(selection.policy) if one_label else InspectionRow.top_defect,
        "defect_score": defect_score,
        "foreign_score": InspectionRow.foreign_score,
    }
    key = keys[sorting.by]
    return (key.desc() if sorting.descending else key.asc(), InspectionRow.id)
