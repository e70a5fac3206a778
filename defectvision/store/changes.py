"""What two batches say of the same images: of each content the verdict and the classes that count
in one batch, and those in the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    literal_column,
    select,
)

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ImageState, InspectionRow
from defectvision.store.verdicts import decided, final_of, is_final

Cell = tuple[Verdict, Verdict]  # before, after
Pair = tuple[StoredInspection, StoredInspection]
CHUNK = 200  # pairs that are read together


@dataclass(frozen=True)
class Counts:
    """verdicts: images by verdict before and after; renamed: those that are rejected both times,
    for another defect; alone: contents that only the first batch has, and only the second."""

    verdicts: dict[Cell, int]
    renamed: int
    alone: tuple[int, int]

    @property
    def images(self) -> int:
        return sum(self.verdicts.values())

    @property
    def changed(self) -> int:
        """Images with another verdict."""
        return sum(count for (one, two), count in self.verdicts.items() if one != two)


@dataclass(frozen=True)
class Changes:
    """Two batches of one line, each under a policy; verdicts are those that count, so people's
    where they have decided. Images are matched by the SHA-256 of their files: a content that a
    batch has several times counts once, by the row that people decided on, else by the first."""

    before: Results
    after: Results
    policies: tuple[Policy, Policy]

    def counts(self) -> Counts:
        one, two = self._sides
        rows = self._query(one.c.verdict, two.c.verdict, self._renamed, func.count())
        grouped = rows.group_by(*map(literal_column, "123"))
        verdicts: dict[Cell, int] = {}
        renamed = 0
        with self.before.store.reading() as session:
            for first, second, other, count in session.execute(grouped):
                cell = Verdict(first), Verdict(second)
                verdicts[cell] = verdicts.get(cell, 0) + count
                renamed += count if other else 0
            wholes = [
                session.scalar(select(func.count()).where(side.c.place == 1)) or 0
                for side in self._sides
            ]
        both = sum(verdicts.values())
        return Counts(verdicts, renamed, (wholes[0] - both, wholes[1] - both))

    def page(self, cell: Cell | None = None, first: int = 0, most: int | None = None) -> list[Pair]:
        """`most` pairs from place `first` on, in the first batch's order: those of a cell, else all
        whose verdict or rejected defect is another."""
        return self._pairs(self._numbers(cell, first, most))

    def every(self, cell: Cell | None = None) -> Iterator[Pair]:
        """All of them, a few at a time in memory."""
        numbers = self._numbers(cell)
        for first in range(0, len(numbers), CHUNK):
            yield from self._pairs(numbers[first : first + CHUNK])

    def _numbers(
        self, cell: Cell | None, first: int = 0, most: int | None = None
    ) -> list[tuple[int, int]]:
        one, two = self._sides
        wanted = self._query(one.c.id, two.c.id).where(self._in(cell)).order_by(one.c.id)
        with self.before.store.reading() as session:
            return [(a, b) for a, b in session.execute(wanted.offset(first).limit(most))]

    def _pairs(self, numbers: list[tuple[int, int]]) -> list[Pair]:
        wanted = select(InspectionRow).where(InspectionRow.id.in_(chain(*numbers)))
        with self.before.store.reading() as session:
            rows = {row.id: row for row in session.scalars(wanted)}
        return [(self.before.stored(rows[a]), self.after.stored(rows[b])) for a, b in numbers]

    @cached_property
    def _sides(self) -> tuple[Subquery, Subquery]:
        first, second = self.policies
        return _side(self.before, first), _side(self.after, second)

    @property
    def _renamed(self) -> ColumnElement[bool]:
        one, two = self._sides
        both = and_(one.c.verdict == Verdict.REJECT.value, two.c.verdict == Verdict.REJECT.value)
        return and_(both, one.c.classes != two.c.classes)

    def _query(self, *columns: Any) -> Select[Any]:
        one, two = self._sides
        return (
            select(*columns)
            .select_from(one)
            .join(two, one.c.digest == two.c.digest)
            .where(one.c.place == 1, two.c.place == 1)
        )

    def _in(self, cell: Cell | None) -> ColumnElement[bool]:
        one, two = self._sides
        if cell is None:
            return (one.c.verdict != two.c.verdict) | self._renamed
        return and_(one.c.verdict == cell[0].value, two.c.verdict == cell[1].value)


def _side(results: Results, policy: Policy) -> Subquery:
    """Of each inspected image of a batch its content, what counts of it, and its place among those
    of the same content."""
    results.measure(policy)
    line = results.line
    classes: ColumnElement[str] = literal("")
    for name in sorted(line.defect_names):
        named = case((is_final(name, policy, line), name + SEPARATOR), else_="")
        classes = classes + named
    place = func.row_number().over(
        partition_by=InspectionRow.digest,
        order_by=(case((decided, 0), else_=1), InspectionRow.id),
    )
    return (
        select(
            InspectionRow.id,
            InspectionRow.digest,
            final_of(policy).label("verdict"),
            classes.label("classes"),
            place.label("place"),
        )
        .where(
            InspectionRow.batch_id == results.batch.id,
            InspectionRow.state == ImageState.DONE,
            InspectionRow.digest.is_not(None),
        )
        .subquery()
    )
