"""A batch's inspections with all that judging and exporting them needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, PolicyInForce
from defectvision.bundle.schema import Origin
from defectvision.inference.images import ImageError
from defectvision.store.batches import get_batch, images_in, line_of
from defectvision.store.database import Store
from defectvision.store.inspections import (
    Summary,
    changed,
    every,
    newest,
    page,
    place_of,
    summarize,
)
from defectvision.store.measured import Advance, measure_parts
from defectvision.store.policies import in_force
from defectvision.store.releases import frozen_policy, releases_of
from defectvision.store.reviews import said_so_far
from defectvision.store.selection import AS_LISTED, EVERYTHING, Filter, Selection, Sorting
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import BatchRow, ImageState, InspectionRow, ReleaseRow


@dataclass(frozen=True)
class Results:
    """Reads one batch. Every method asks the database anew, so a running batch grows.

    releases: its versions that somebody answers for, the first one first.
    """

    store: Store
    batch: BatchRow
    line: Line
    releases: tuple[ReleaseRow, ...] = ()

    @classmethod
    def open(cls, store: Store, number: int) -> Results:
        """Raises StoreError where there is no such batch."""
        with store.reading() as session:
            batch = get_batch(session, number)
            return cls(store, batch, line_of(batch), tuple(releases_of(session, number)))

    @property
    def origin(self) -> Origin:
        about = self.batch
        masks = tuple(about.mask_classes)
        return Origin(self.line, about.bundle, about.bundle_version, masks)

    def policy_in_force(self) -> PolicyInForce:
        """What the batch is judged by: its newest release's frozen policy, else the one in force
        for the bundle that inspected it."""
        return frozen_policy(self.releases[-1]) if self.releases else self.policy_of_today()

    def policy_of_today(self) -> PolicyInForce:
        """Of the bundle that inspected the batch, whose own policy is kept with it."""
        own = Policy.model_validate(self.batch.bundle_policy)
        with self.store.reading() as session:
            return in_force(session, self.batch.line, self.batch.bundle, own)

    def said_so_far(self) -> int:
        """What people have decided so far, as a number that any decision on a part changes; see
        `reviews.said_so_far`."""
        with self.store.reading() as session:
            return said_so_far(session, self.batch.id)

    def selection(self, policy: Policy, filter: Filter = EVERYTHING) -> Selection:
        """What `filter` leaves of the batch under `policy`; its parts are measured by the policy's
        rules first, see `measure`."""
        self.measure(policy)
        return Selection(self.batch.id, self.line, policy, filter)

    def measure(self, policy: Policy, advance: Advance | None = None) -> None:
        """Ask the policy's rules about all parts; see `measured.measure_parts`."""
        measure_parts(self.store, self.batch, self.line, policy, advance)

    def summary(self, selection: Selection) -> Summary:
        """Counts of what is selected."""
        with self.store.reading() as session:
            return summarize(session, selection)

    def page(
        self,
        selection: Selection,
        sorting: Sorting = AS_LISTED,
        first: int = 0,
        most: int = 50,
    ) -> list[StoredInspection]:
        """`most` of the selected inspections from place `first` on."""
        with self.store.reading() as session:
            rows = page(session, selection, sorting, first, most)
            return [self.stored(row) for row in rows]

    def every(self, selection: Selection) -> Iterator[StoredInspection]:
        """All that is selected, as listed; few are in memory at a time."""
        with self.store.reading() as session:
            for row in every(session, selection):
                yield self.stored(row)

    def place_of(self, selection: Selection, number: int, sorting: Sorting) -> int | None:
        """How many of the selected stand before inspection `number`; None where it is not one."""
        with self.store.reading() as session:
            return place_of(session, selection, number, sorting)

    def one(self, number: int) -> StoredInspection | None:
        """An inspection of this batch by its number."""
        with self.store.reading() as session:
            row = session.get(InspectionRow, number)
        return self.stored(row) if row is not None and row.batch_id == self.batch.id else None

    def newest(self) -> StoredInspection | ImageError | None:
        """What was inspected last, or why it could not be; None before the first image."""
        with self.store.reading() as session:
            row = newest(session, self.batch.id)
        if row is None:
            return None
        if row.state == ImageState.FAILED:
            return ImageError(row.name, row.reason, row.remedy)
        return self.stored(row)

    def changed(self, before: Policy, after: Policy) -> list[StoredInspection]:
        """The parts on which two policies come to different final verdicts, as listed."""
        self.measure(before)
        self.measure(after)
        with self.store.reading() as session:
            return [self.stored(row) for row in changed(session, self.batch.id, before, after)]

    def errors(self) -> list[ImageError]:
        """Files that could not be inspected."""
        with self.store.reading() as session:
            rows = images_in(session, self.batch.id, ImageState.FAILED)
        return [ImageError(row.name, row.reason, row.remedy) for row in rows]

    def synthetic(self) -> frozenset[str]:
        """Names of the images that the program drew."""
        with self.store.reading() as session:
            wanted = select(InspectionRow.name).where(
                InspectionRow.batch_id == self.batch.id, InspectionRow.synthetic
            )
            return frozenset(session.scalars(wanted))

    def stored(self, row: InspectionRow) -> StoredInspection:
        return StoredInspection(row, self.line, self.batch, self.store.files)
