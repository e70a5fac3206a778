"""Inspections as they come back from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Measured, Policy, Verdict
from defectvision.inference.broken_rules import BrokenRule
from defectvision.inference.gate import Objection
from defectvision.inference.inspection import Inspection
from defectvision.inference.judged import Judged
from defectvision.inference.record import RecordError, read_record
from defectvision.inference.regions import Region, cut_of
from defectvision.store.decisions import decision_of
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import Files
from defectvision.store.rows import regions_of
from defectvision.store.tables import BatchRow, InspectionRow


class StoredInspection(Judged):
    """A row as a policy judges it. The model's whole answer is read only where it is needed: for
    maps and masks, and for regions that another policy cuts."""

    def __init__(self, row: InspectionRow, line: Line, batch: BatchRow, files: Files):
        self.row, self.line, self._files = row, line, files
        self.id, self.name, self.bundle_version = row.id, row.name, row.bundle_version
        self.probabilities = row.probabilities or {}
        self.defect_score, self.foreign_score = row.defect_score, row.foreign_score or 0.0
        self.objections = tuple(Objection(**found) for found in row.objections)
        self.mask_classes = tuple(batch.mask_classes)
        self.decision = decision_of(row)

    @property
    def times(self) -> Mapping[str, float]:
        return self.row.milliseconds or {}

    def regions(self, policy: Policy) -> tuple[Region, ...]:
        """As `Inspection.regions`; raises StoreError where the record is needed and gone."""
        if not self.mask_classes:
            return ()
        if self.row.cut == cut_of(policy, self.mask_classes):
            return regions_of(self.row, policy.mm_per_px)
        return self.inspection.regions(policy)

    def known_regions(self, policy: Policy) -> tuple[Region, ...] | None:
        """As `regions`; None, with the reason in `lost`, where those of this one row are gone."""
        try:
            return self.regions(policy)
        except StoreError as error:
            self.lost = str(error)
            return None

    def _by_rules(self, policy: Policy) -> tuple[tuple[BrokenRule, ...], Measured]:
        """Review, and no rule that could be told, where what was kept is gone or damaged. Raises
        StoreError where no file of the store can be read."""
        try:
            return super()._by_rules(policy)
        except LostFileError:
            return (), Measured(Verdict.REVIEW)

    @cached_property
    def inspection(self) -> Inspection:
        """The model's whole answer; raises StoreError where it is gone or damaged."""
        if not self.row.record:
            raise LostFileError(f"{self.name}: the model's answer was not kept. Inspect it again")
        try:
            found = read_record(self._files.get(self.row.record), self.line, self.name)
        except RecordError as error:
            raise LostFileError(str(error)) from error
        return replace(found, decision=self.decision)

    def picture(self) -> bytes | None:
        """The image file; None where it was not kept. Raises StoreError where it is lost."""
        if not self.row.stored or not self.row.digest:
            return None
        return self._files.get(self.row.digest)

    def thumbnail(self) -> bytes:
        """A small JPEG; empty where there is none."""
        try:
            return self._files.get(self.row.thumbnail) if self.row.thumbnail else b""
        except StoreError:  # a table is worth more than its pictures
            return b""
