"""Find, count and page through inspections under a policy, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.batches import DONE
from defectvision.store.tables import BINS, InspectionRow, ReviewRow
from defectvision.store.verdicts import (
    defect_score,
    is_named,
    label_of,
    reached_bits,
    verdict_of,
    zone_of,
)

CHUNK = 500
Order = Literal["listed", "name", "verdict", "label", "defect_score", "foreign_score"]


@dataclass(frozen=True)
class Filter:
    """Which inspections of a batch are meant; an empty set does not restrict.

    classes: any of these is named by the policy. low, high: bounds of the defect score, both
    included. text: occurs in the name, whatever its case. reviewed: by anyone, True or False.
    """

    verdicts: frozenset[Verdict] = frozenset()
    classes: frozenset[str] = frozenset()
    low: float = 0.0
    high: float = 1.0
    text: str = ""
    reviewed: bool | None = None


def in_words(chosen: Filter, line: Line) -> str:
    """A filter as people say it."""
    words = []
    if chosen.verdicts:
        words.append("verdict " + " or ".join(sorted(v.value for v in chosen.verdicts)))
    if chosen.classes:
        titles = [c.title for c in line.classes if c.name in chosen.classes]
        words.append("label " + " or ".join(titles))
    if chosen.low > 0 or chosen.high < 1:
        words.append(f"defect score {chosen.low:.2f} to {chosen.high:.2f}")
    if chosen.text:
        words.append(f"name contains '{chosen.text}'")
    if chosen.reviewed is not None:
        words.append("reviewed" if chosen.reviewed else "not reviewed")
    return ", ".join(words) or "all images"


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


def standing(review: type[ReviewRow] = ReviewRow) -> ColumnElement[bool]:
    """Whether a review is a decision that was not undone."""
    undoing = aliased(ReviewRow)
    return and_(review.undoes.is_(None), ~exists().where(undoing.undoes == review.id))


def matching(batch: int, chosen: Filter, policy: Policy, line: Line) -> list[ColumnElement[bool]]:
    """The conditions that a batch, a filter and a policy put on inspections."""
    found = [InspectionRow.batch_id == batch, InspectionRow.state == DONE]
    if chosen.verdicts:
        found.append(verdict_of(policy).in_(sorted(chosen.verdicts)))
    if chosen.classes:
        found.append(or_(*(is_named(name, policy, line) for name in sorted(chosen.classes))))
    if chosen.low > 0:
        found.append(defect_score >= chosen.low)
    if chosen.high < 1:
        found.append(defect_score <= chosen.high)
    if chosen.text:
        found.append(InspectionRow.name.icontains(chosen.text, autoescape=True))
    if chosen.reviewed is not None:
        seen = exists().where(ReviewRow.inspection_id == InspectionRow.id, standing())
        found.append(seen if chosen.reviewed else ~seen)
    return found


def summarize(session: Session, batch: int, chosen: Filter, policy: Policy, line: Line) -> Summary:
    """Counts of all that the filter leaves, from one pass over them."""
    if line.label_mode == "multiclass":
        names = list(line.class_names)
        named = (label_of(policy), literal(0), literal(0))
    else:
        names = [c.name for c in line.classes if c.kind == "defect"]
        named = (InspectionRow.top_defect, zone_of(policy), reached_bits(names, policy, line))
    rows = session.execute(
        select(verdict_of(policy), InspectionRow.score_bin, *named, func.count())
        .where(*matching(batch, chosen, policy, line))
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
        elif zone:  # as `policy.labels` does
            bits = reached or (1 << names.index(top) if zone == 2 else 0)
            for i, name in enumerate(names):
                classes[name] += count if bits >> i & 1 else 0
    ranked = sorted(classes.items(), key=lambda pair: (-pair[1], pair[0]))
    return Summary(sum(verdicts.values()), verdicts, dict(ranked), scores)


def page(
    session: Session,
    batch: int,
    chosen: Filter,
    policy: Policy,
    line: Line,
    order: Order = "listed",
    descending: bool = False,
    first: int = 0,
    most: int = 50,
) -> list[InspectionRow]:
    """A page of what the filter leaves, in an order that is the same every time."""
    wanted = _ordered(batch, chosen, policy, line, order, descending)
    return list(session.scalars(wanted.offset(first).limit(most)))


def place_of(
    session: Session,
    batch: int,
    chosen: Filter,
    policy: Policy,
    line: Line,
    number: int,
    order: Order = "listed",
    descending: bool = False,
) -> int | None:
    """How many rows of the order stand before inspection `number`; None where it is not there."""
    key = _sort_keys(policy, line)[order]
    keys = (key.desc() if descending else key.asc(), InspectionRow.id)
    rank = func.row_number().over(order_by=keys).label("rank")
    conditions = matching(batch, chosen, policy, line)
    ranked = select(InspectionRow.id, rank).where(*conditions).subquery()
    found = session.scalar(select(ranked.c.rank).where(ranked.c.id == number))
    return None if found is None else found - 1


def every(
    session: Session, batch: int, chosen: Filter, policy: Policy, line: Line
) -> Iterator[InspectionRow]:
    """All that the filter leaves, as listed, a few at a time in memory."""
    last = 0
    while True:
        conditions = matching(batch, chosen, policy, line)
        rows = list(
            session.scalars(
                select(InspectionRow)
                .where(*conditions, InspectionRow.id > last)
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


def _ordered(
    batch: int, chosen: Filter, policy: Policy, line: Line, order: Order, descending: bool
) -> Select:
    key = _sort_keys(policy, line)[order]
    return (
        select(InspectionRow)
        .where(*matching(batch, chosen, policy, line))
        .order_by(key.desc() if descending else key.asc(), InspectionRow.id)
    )


def _sort_keys(policy: Policy, line: Line) -> dict[str, ColumnElement]:
    one_label = line.label_mode == "multiclass"
    return {
        "listed": InspectionRow.id,
        "name": InspectionRow.name,
        "verdict": verdict_of(policy),
        "label": label_of(policy) if one_label else InspectionRow.top_defect,
        "defect_score": defect_score,
        "foreign_score": InspectionRow.foreign_score,
    }
