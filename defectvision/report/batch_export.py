"""All that leaves a batch: the filtered rows under the policy in force, in each format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.inference.heatmap import evidence_heatmap
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.inspection import Inspection
from defectvision.report import export
from defectvision.report.annotations import coco_json, masks_zip
from defectvision.report.export import Format
from defectvision.report.picture import overlaid
from defectvision.report.submission import submission_file
from defectvision.store.results import Results
from defectvision.store.selection import EVERYTHING, Selection
from defectvision.store.stored import StoredInspection

EXCEL = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@dataclass(frozen=True)
class Leaving:
    """The inspections of one batch that are exported, with the policy that judges them."""

    results: Results
    selection: Selection
    policy_version: str
    temperature: float
    limit_pixels: int

    @property
    def policy(self) -> Policy:
        return self.selection.policy

    def rows(self) -> Iterator[StoredInspection]:
        return self.results.every(self.selection)

    def inspections(self) -> Iterator[Inspection]:
        return (row.inspection for row in self.rows())

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
        return workbook(sheets)

    def json(self) -> bytes:
        rows = [row.as_json(self.policy) for row in self.rows()]
        return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()

    def coco(self) -> bytes:
        return coco_json(self.inspections(), self.policy, self.results.origin).encode()

    def masks(self) -> bytes:
        return masks_zip(self.inspections(), self.policy, self.results.origin)

    def submission(self) -> bytes:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "submission.csv"
            with submission_file(file, self.policy) as add:
                for found in self.inspections():
                    add(found)
            return file.read_bytes()

    def pdf(self) -> bytes:
        from defectvision.report.pdf import Subject, report_pdf

        batch = self.results.batch
        about = Subject(
            batch=batch.title,
            made=f"{batch.made:%Y-%m-%d %H:%M} UTC, batch {batch.id}",
            selection=self.selection.words,
            policy_version=self.policy_version,
            failed=len(self.results.errors()),
            synthetic=self.results.synthetic(),
        )
        rows = list(self.rows())
        return report_pdf(rows, self.policy, self.results.origin, about, self._picture)

    def _picture(self, stored: StoredInspection) -> NDArray[np.uint8] | None:
        data = stored.picture()
        if data is None:
            return None
        whole = stored.inspection
        name = whole.main_class(self.policy)
        heatmap = evidence_heatmap(whole, name, self.temperature)
        image = decode_image(data, stored.name, self.limit_pixels, bits=self.results.line.bits)
        return overlaid(image, whole, whole.cut(self.policy), heatmap)

    def formats(self) -> list[Format]:
        """Those that make sense for the batch's line."""
        found = [
            Format("PDF report", ".pdf", "application/pdf", self.pdf),
            Format("CSV", ".csv", "text/csv", self.csv),
            Format("Excel", ".xlsx", EXCEL, self.excel),
            Format("JSON", ".json", "application/json", self.json),
        ]
        if self.results.batch.mask_classes:
            found += [
                Format("Regions as CSV", "_regions.csv", "text/csv", self.regions_csv),
                Format("COCO", "_coco.json", "application/json", self.coco),
                Format("Masks as PNG", "_masks.zip", "application/zip", self.masks),
                Format("Severstal submission", "_submission.csv", "text/csv", self.submission),
            ]
        return found
