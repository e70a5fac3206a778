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
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session

from defectvision.bundle.labels import label_names
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.decisions import DISPUTED
from defectvision.store.selection import AS_LISTED, Order, Selection, Sorting
from defectvision.store.tables import BINS, ImageState, InspectionRow
from defectvision.store.verdicts import (
    decided,
    defect_score,
    final_label_of,
    final_of,
    is_final,
    label_of,
    reached_bits,
    standing_of,
)

CHUNK = 500


@dataclass(frozen=True)
class Summary:
    """What a filter leaves under a policy, by the verdicts and labels that count: those of people
    where they have decided, else the model's.

    verdicts: images of each; classes: images on which each class is named, the most frequent
    first; rejected: the same of the rejected ones alone; decided: images that people decided on;
    unjudged: those on which the model gives no verdict, as something speaks against any; scores:
    (BINS,) int, images per bin of the defect score, without the unjudged ones.
    """

    images: int
    verdicts: dict[Verdict, int]
    classes: dict[str, int]
    rejected: dict[str, int]
    decided: int
    unjudged: int
    scores: NDArray[np.int64]

    @property
    def yield_share(self) -> float | None:
        """Accepted parts of those that have a verdict of accept or reject."""
        decided = self.verdicts[Verdict.ACCEPT] + self.verdicts[Verdict.REJECT]
        return self.verdicts[Verdict.ACCEPT] / decided if decided else None


def matching(selection: Selection) -> list[ColumnElement[bool]]:
    """The conditions that a selection puts on inspections."""
    chosen, policy, line = selection.filter, selection.policy, selection.line
    conditions = [
        InspectionRow.batch_id == selection.batch,
        InspectionRow.state == ImageState.DONE,
    ]
    if chosen.verdicts:
        conditions.append(final_of(policy).in_(sorted(chosen.verdicts)))
    if chosen.classes:
        named = (is_final(name, policy, line) for name in sorted(chosen.classes))
        conditions.append(or_(*named))
    if chosen.low > 0:
        conditions.append(defect_score >= chosen.low)
    if chosen.high < 1:
        conditions.append(defect_score <= chosen.high)
    if chosen.text:
        conditions.append(InspectionRow.name.icontains(chosen.text, autoescape=True))
    if chosen.reviewed is not None:
        conditions.append(decided if chosen.reviewed else ~decided)
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
        named = (InspectionRow.top_defect, standing_of(policy), reached_bits(names, policy, line))
    rows = session.execute(
        select(
            final_of(policy),
            InspectionRow.score_bin,
            InspectionRow.decision,
            InspectionRow.decided_label,
            InspectionRow.judged,
            *named,
            func.count(),
        )
        .where(*matching(selection))
        .group_by(*(literal_column(str(i)) for i in range(1, 9)))
    )
    verdicts = dict.fromkeys(Verdict, 0)
    classes, rejected = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    scores, decided_on, unjudged = np.zeros(BINS, np.int64), 0, 0
    for verdict, place, decision, given, judged, top, standing, reached, count in rows:
        verdicts[Verdict(verdict)] += count
        decided_on += count if decision else 0
        unjudged += 0 if judged else count
        if place is not None and judged:
            scores[place] += count
        if decision and decision != DISPUTED:
            labels = label_names(given)
        elif not judged:
            labels = ()
        elif line.label_mode == "multiclass":
            labels = (top,)
        else:
            labels = _reached(names, top, standing, reached)
        for name in labels:
            classes[name] = classes.get(name, 0) + count
            if verdict == Verdict.REJECT:
                rejected[name] = rejected.get(name, 0) + count
    images = sum(verdicts.values())
    ranked, of_rejected = _ranked(classes), _ranked(rejected)
    return Summary(images, verdicts, ranked, of_rejected, decided_on, unjudged, scores)


def _reached(names: list[str], top: str, standing: str | None, reached: int) -> tuple[str, ...]:
    """`policy.labels` of rows of a multilabel line, by what the database says of them."""
    if standing not in (Verdict.REVIEW, Verdict.REJECT):
        return ()
    bits = reached or (1 << names.index(top) if standing == Verdict.REJECT else 0)
    return tuple(name for i, name in enumerate(names) if bits >> i & 1)


def _ranked(counts: dict[str, int]) -> dict[str, int]:
    """The largest first."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


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


def newest(session: Session, batch: int) -> InspectionRow | None:
    """The image of a batch that was inspected, or could not be, last."""
    rows = select(InspectionRow).where(
        InspectionRow.batch_id == batch, InspectionRow.state != ImageState.WAITING
    )
    return session.scalar(
        rows.order_by(InspectionRow.at.desc().nulls_last(), InspectionRow.id.desc()).limit(1)
    )


def changed(session: Session, batch: int, before: Policy, after: Policy) -> list[InspectionRow]:
    """Inspections of a batch whose final verdict two policies differ on, as listed."""
    return list(
        session.scalars(
            select(InspectionRow)
            .where(
                InspectionRow.batch_id == batch,
                InspectionRow.state == ImageState.DONE,
                final_of(before) != final_of(after),
            )
            .order_by(InspectionRow.id)
        )
    )


def _keys(selection: Selection, sorting: Sorting) -> tuple[SQLColumnExpression[Any], ...]:
    keys: dict[Order, SQLColumnExpression[Any]] = {
        "listed": InspectionRow.id,
        "name": InspectionRow.name,
        "verdict": final_of(selection.policy),
        "label": final_label_of(selection.policy, selection.line),
        "defect_score": defect_score,
        "foreign_score": InspectionRow.foreign_score,
    }
    key = keys[sorting.by]
    return (key.desc() if sorting.descending else key.asc(), InspectionRow.id)
