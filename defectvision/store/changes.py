"""What two batches say of the same images: of each content the verdict and the classes that count
in one batch, and those in the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, literal, select

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ImageState, InspectionRow
from defectvision.store.verdicts import decided, final_of, is_final, is_named, verdict_of

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
    """Two batches of one line, each under a policy. decided: whether people's decisions count, as
    they do everywhere; else what the models say is compared. Images are matched by the SHA-256 of
    their files: a content that a batch has several times counts once, by the row that people
    decided on, else by the first."""

    before: Results
    after: Results
    policies: tuple[Policy, Policy]
    decided: bool = True

    def said(self, found: StoredInspection, policy: Policy) -> tuple[Verdict, tuple[str, ...]]:
        """The verdict and the labels of an image that are compared."""
        if self.decided:
            return found.final_verdict(policy), found.final_labels(policy)
        return found.verdict(policy), () if found.objections else found.labels(policy)

    def counts(self) -> Counts:
        found, (one, two) = self._found, self._sides
        verdicts = Counter((pair.before, pair.after) for pair in found)
        renamed = sum(pair.renamed for pair in found)
        return Counts(dict(verdicts), renamed, (len(one) - len(found), len(two) - len(found)))

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
        wanted = (pair.numbers for pair in self._found if pair.is_in(cell))
        return list(islice(wanted, first, None if most is None else first + most))

    def _pairs(self, numbers: list[tuple[int, int]]) -> list[Pair]:
        wanted = select(InspectionRow).where(InspectionRow.id.in_(chain(*numbers)))
        with self.before.store.reading() as session:
            rows = {row.id: row for row in session.scalars(wanted)}
        return [(self.before.stored(rows[a]), self.after.stored(rows[b])) for a, b in numbers]

    @cached_property
    def _sides(self) -> tuple[dict[str, _Said], dict[str, _Said]]:
        first, second = self.policies
        sides = (self.before, first), (self.after, second)
        one, two = (_side(results, policy, self.decided) for results, policy in sides)
        return one, two

    @cached_property
    def _found(self) -> list[_Found]:
        # Not joined by the database: SQLite compares each row of one side with all of the other.
        one, two = self._sides
        pairs = ((one[digest], two[digest]) for digest in one.keys() & two.keys())
        return [_Found.of(*pair) for pair in sorted(pairs, key=lambda pair: pair[0].number)]


class _Said(NamedTuple):
    """What counts of an image: the number of its row, its verdict, its defects as one text."""

    number: int
    verdict: Verdict
    defects: str


class _Found(NamedTuple):
    """An image in both batches: the numbers of its rows, its verdicts, and whether it is rejected
    both times, for another defect."""

    numbers: tuple[int, int]
    before: Verdict
    after: Verdict
    renamed: bool

    @classmethod
    def of(cls, one: _Said, two: _Said) -> _Found:
        rejected = one.verdict == two.verdict == Verdict.REJECT
        other = rejected and one.defects != two.defects
        return cls((one.number, two.number), one.verdict, two.verdict, other)

    def is_in(self, cell: Cell | None) -> bool:
        if cell is None:
            return self.before != self.after or self.renamed
        return (self.before, self.after) == cell


def _side(results: Results, policy: Policy, by_people: bool) -> dict[str, _Said]:
    """By the content of each inspected image of a batch what counts of it."""
    results.measure(policy)
    line = results.line
    defects: ColumnElement[str] = literal("")
    for name in sorted(line.defect_names):
        by_model = and_(InspectionRow.judged, is_named(name, policy, line))
        said = is_final(name, policy, line) if by_people else by_model
        defects = defects + case((said, name + SEPARATOR), else_="")
    verdict = final_of(policy) if by_people else verdict_of(policy)
    wanted = (
        select(InspectionRow.digest, InspectionRow.id, verdict, defects)
        .where(
            InspectionRow.batch_id == results.batch.id,
            InspectionRow.state == ImageState.DONE,
            InspectionRow.digest.is_not(None),
        )
        .order_by(case((decided, 0), else_=1), InspectionRow.id)
    )
    found: dict[str, _Said] = {}
    with results.store.reading() as session:
        for digest, number, came_to, named in session.execute(wanted):
            found.setdefault(digest or "", _Said(number, Verdict(came_to), named))
    return found
