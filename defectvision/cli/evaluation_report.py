"""Reports of an evaluation as the commands write them: HTML to read, JSON for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from defectvision import atomic

if TYPE_CHECKING:
    from defectvision.bundle.policy import Policy
    from defectvision.evaluation.consequences import Costs
    from defectvision.evaluation.kept import Kept

HTML, JSON = "evaluation.html", "evaluation.json"


def check_targets(html: Path | None, report_json: Path | None, folder: Path | None) -> None:
    """Raises ValueError where a report could not be written, before the work begins."""
    for file in (html, report_json):
        if file is not None:
            atomic.check_target(file)
    if folder is not None:
        atomic.check_folder(folder)


def write_reports(
    kept: Kept,
    policy: Policy,
    html: Path | None = None,
    report_json: Path | None = None,
    folder: Path | None = None,
    costs: Costs | None = None,
) -> None:
    """Write what was asked for; `folder` gets both. Raises OSError."""
    pages = [file for file in (html, folder and folder / HTML) if file is not None]
    objects = [file for file in (report_json, folder and folder / JSON) if file is not None]
    if not pages and not objects:
        return
    from defectvision.report.evaluation.content import content_of, report_json_of
    from defectvision.report.evaluation.html import evaluation_html

    content = content_of(kept, policy, costs)
    for file in objects:
        atomic.write_text(file, json.dumps(report_json_of(content), indent=1) + "\n")
    for file in pages:
        atomic.write_text(file, evaluation_html(content))
