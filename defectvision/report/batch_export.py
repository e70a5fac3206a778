"""All that leaves a batch: the filtered rows under the policy in force, in each format."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from defectvision import __version__
from defectvision.bundle.policy import Policy, in_words
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.heatmap import evidence_heatmap
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.inspection import Inspection
from defectvision.report import export
from defectvision.report.annotations import coco_json, masks_zip
from defectvision.report.export import Format
from defectvision.report.lot_record import MADE_FROM, digest_of_record, record
from defectvision.report.lot_words import (
    NOT_AT_HAND,
    copied,
    measured_escapes,
    plain_markdown,
    replaced_since,
    without_verdict,
    zone_of,
)
from defectvision.report.picture import overlaid
from defectvision.report.submission import submission_file
from defectvision.store.errors import StoreError
from defectvision.store.inspections import Summary
from defectvision.store.results import Results
from defectvision.store.reviews import reviewers_of
from defectvision.store.selection import EVERYTHING, Selection
from defectvision.store.stored import StoredInspection
from defectvision.words import in_utc

log = logging.getLogger(__name__)
MOST_LOOKS = 5  # at a lot on whose parts people decide without a pause
EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Leaving:
    """The inspections of one batch that are exported, with the policy that judges them.

    policy_words: which policy it is; loaded: the bundle as it is now; in_force: whether the policy
    is the one in force, or the frozen one of a release; released: by whom, when and why, as text,
    of a released version; printed: the moment of making, with its time zone.
    """

    results: Results
    selection: Selection
    policy_words: str
    loaded: LoadedBundle
    limit_pixels: int
    in_force: bool = True
    released: str = ""
    printed: datetime = field(default_factory=lambda: datetime.now().astimezone())

    @property
    def extract(self) -> bool:
        """Whether it says less than the lot's report does, so that nobody can sign it."""
        return self.selection.filter != EVERYTHING or not self.in_force

    @property
    def policy(self) -> Policy:
        return self.selection.policy

    @property
    def _replaced(self) -> str:
        """See `replaced_since`."""
        return replaced_since(self.results.batch.bundle_version, self.loaded)

    def rows(self) -> Iterator[StoredInspection]:
        return self.results.every(self.selection)

    def inspections(self, lost: list[ImageError]) -> Iterator[Inspection]:
        """The whole answers; `lost` gets the parts whose answer is gone or damaged."""
        for row in self.rows():
            try:
                found = row.inspection
            except StoreError as error:
                lost.append(ImageError(row.name, str(error), "Inspect the image again."))
                continue
            yield found

    @property
    def failed(self) -> list[ImageError]:
        """Files without a result have no score to filter by: they leave with all images only."""
        return self.results.errors() if self.selection.filter == EVERYTHING else []

    def csv(self) -> bytes:
        origin, drawn = self.results.origin, self.results.synthetic()
        return export.results_csv(self.rows(), self.policy, origin, self.failed, drawn)

    def regions_csv(self) -> bytes:
        origin, drawn = self.results.origin, self.results.synthetic()
        return export.regions_csv(self.rows(), self.policy, origin, drawn)

    def excel(self) -> bytes:
        from defectvision.report.tables import workbook

        origin, drawn = self.results.origin, self.results.synthetic()
        sheets = {
            "Results": (
                export.result_columns(origin, self.policy),
                export.result_rows(self.rows(), self.policy, origin, self.failed, drawn),
            )
        }
        if origin.mask_classes:
            sheets["Regions"] = (
                export.region_columns(origin, self.policy),
                export.region_rows(self.rows(), self.policy, origin, drawn),
            )
        return workbook(sheets, self.printed)

    def json(self) -> bytes:
        return export.results_json(self.rows(), self.policy, self.failed)

    def coco(self) -> bytes:
        errors = self.failed
        found = self.inspections(errors)
        return coco_json(found, self.policy, self.results.origin, errors).encode()

    def masks(self) -> bytes:
        errors = self.failed
        return masks_zip(self.inspections(errors), self.policy, self.results.origin, errors)

    def submission(self) -> bytes:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "submission.csv"
            lost: list[ImageError] = []
            with submission_file(file, self.policy) as add:
                for found in self.inspections(lost):
                    add(found)
            for error in lost:  # the competition's file has no place for it
                log.warning("left out of the submission: %s", error)
            return file.read_bytes()

    def record(self) -> bytes:
        """What the report's SHA-256 is made from."""
        return record(self.results, self.selection, self.rows())

    def pdf(self) -> bytes:
        from defectvision.report.pdf import Subject, report_pdf

        results, batch = self.results, self.results.batch
        lot, rows = self._at_one_moment()
        digest = digest_of_record(record(results, self.selection, rows))
        cautions = (
            without_verdict(lot, results.line),
            self._replaced or plain_markdown(self.loaded.bundle.caution),
        )
        subject = Subject(
            lot=f"{batch.title} (lot {batch.id})",
            counts=lot,
            extract=self.extract,
            facts=self._facts(digest),
            failed=results.errors(),
            cautions=tuple(filter(None, cautions)),
            synthetic=results.synthetic(),
            printed=self.printed,
            digest=digest,
        )
        return report_pdf(rows, self.policy, results.origin, subject, self._picture)

    def _at_one_moment(self) -> tuple[Summary, list[StoredInspection]]:
        """The lot's counts, and the rows that leave, with the same decisions: read again where
        somebody decided on a part meanwhile, at most a few times."""
        results = self.results
        for _ in range(MOST_LOOKS):
            seen = results.said_so_far()
            lot, rows = results.summary(results.selection(self.policy)), list(self.rows())
            if results.said_so_far() == seen:
                break
        return lot, rows

    def _facts(self, digest: str) -> list[tuple[str, str]]:
        """What must stand on the report beside the counts."""
        batch, origin = self.results.batch, self.results.origin
        judged_by = in_words(self.policy, origin.line, origin.mask_classes)
        with self.results.store.reading() as session:
            reviewers = reviewers_of(session, batch.id)
        facts = [
            ("Selection", self.selection.words),
            ("Line", f"{origin.line.title} ({origin.line.name})"),
            ("Started", f"by {batch.who or 'unnamed'}, {in_utc(batch.made)}"),
            ("Decided", f"by {', '.join(reviewers)}" if reviewers else "by nobody"),
            ("Released", self.released or copied(self.results.releases, self.in_force)),
            ("Policy", f"{self.policy_words}: {judged_by}"),
            ("Bundle", f"{origin.bundle}, version {origin.version}"),
            (
                "Escapes, measured",
                NOT_AT_HAND if self._replaced else measured_escapes(self.loaded.bundle),
            ),
            ("Program", f"DefectVision {__version__}"),
            ("Printed", f"{self.printed:%Y-%m-%d %H:%M:%S} {zone_of(self.printed)}"),
            ("Record SHA-256", f"{digest}, made from {MADE_FROM}"),
        ]
        if self.released:
            facts.append(("Check", "defectvision report verify FILE"))
        return facts

    def _picture(self, stored: StoredInspection) -> NDArray[np.uint8] | None:
        try:
            data, whole = stored.picture(), stored.inspection
        except StoreError as error:
            log.warning("left out of the report: %s", error)
            return None
        if data is None:
            return None
        name = whole.main_class(self.policy)
        heatmap = evidence_heatmap(whole, name, self.loaded.bundle.temperature, self.policy.zones)
        image = decode_image(data, stored.name, self.limit_pixels, bits=self.results.line.bits)
        return overlaid(image, whole, whole.cut(self.policy), heatmap)

    def formats(self) -> list[Format]:
        """Those that make sense for the batch's line."""
        found = [
            Format("PDF report", ".pdf", "application/pdf", self.pdf),
            Format("CSV", ".csv", "text/csv", self.csv),
            Format("Excel", ".xlsx", EXCEL, self.excel),
            Format("JSON", ".json", "application/json", self.json),
            Format("Record", "_record.json", "application/json", self.record),
        ]
        if self.results.batch.mask_classes:
            found += [
                Format("Regions as CSV", "_regions.csv", "text/csv", self.regions_csv),
                Format("COCO", "_coco.json", "application/json", self.coco),
                Format("Masks as PNG", "_masks.zip", "application/zip", self.masks),
                Format("Severstal submission", "_submission.csv", "text/csv", self.submission),
            ]
        return found
