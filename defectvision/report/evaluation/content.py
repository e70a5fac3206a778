"""What a report of an evaluation tells, under one policy."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.bundle.policy import STRICTNESS, Policy, beside_thresholds
from defectvision.evaluation import charts
from defectvision.evaluation.consequences import Consequence, Costs, consequence
from defectvision.evaluation.defect_sizes import Detection, detection, mask_figures
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.outcomes import verdicts
from defectvision.evaluation.promises import Promise, conformal_band, most_escapes
from defectvision.report.evaluation.words import what_reviews_lack
from defectvision.words import capital, counted

ASKED = (0.01, 0.02, 0.05)  # shares of escapes that promises are told for
WORST, GROUPS = 50, 30  # rows of the tables


@dataclass(frozen=True, eq=False)
class Content:
    """kept: the images that count: those that the bundle has not seen, where there are any.
    promises: of each of ASKED, 95 % sure and on average, empty where nothing can escape; warnings:
    what must be known first."""

    kept: Kept
    policy: Policy
    costs: Costs | None
    consequence: Consequence
    verdicts: charts.Confusion
    confusion: charts.Confusion
    roc: charts.Curve
    precision: charts.Curve
    classes: pd.DataFrame
    histogram: pd.DataFrame
    reliability: charts.Reliability
    worst: NDArray[np.int64]
    groups: pd.DataFrame
    masks: dict[str, Any]
    detections: tuple[Detection, ...]
    promises: tuple[tuple[Promise, Promise], ...]
    warnings: tuple[str, ...]


def content_of(whole: Kept, policy: Policy, costs: Costs | None = None) -> Content:
    """Raises EvaluationError where the policy cannot be asked, see `outcomes.verdicts`."""
    kept = whole.take(whole.unseen) if whole.unseen.any() else whole
    detections = []
    if len(kept.defects):
        if kept.about.mask_classes:
            detections.append(detection(kept, policy, "mask"))
        if kept.line.can_accept:
            detections.append(detection(kept, policy, "verdict"))
    return Content(
        kept,
        policy,
        costs,
        consequence(kept, policy, costs),
        charts.verdict_table(kept, policy),
        charts.confusion(kept, policy),
        charts.roc(kept),
        charts.precision_recall(kept),
        charts.class_table(kept, policy),
        charts.histogram(kept),
        charts.reliability(kept),
        charts.worst(kept, policy, WORST),
        charts.by_group(kept, policy),
        mask_figures(kept),
        tuple(detections),
        _promises(kept, policy),
        tuple(_warnings(whole, kept)),
    )


def _promises(kept: Kept, policy: Policy) -> tuple[tuple[Promise, Promise], ...]:
    try:
        return tuple(
            (most_escapes(kept, policy, asked), conformal_band(kept, policy, asked))
            for asked in ASKED
        )
    except EvaluationError:  # nothing can escape, or no score decides
        return ()


def _warnings(whole: Kept, kept: Kept) -> list[str]:
    said = []
    seen = int((~whole.unseen).sum())
    if seen == len(whole):
        said.append(
            "The bundle learned from all of these images, or from near-copies of them: these "
            "figures measure its memory."
        )
    elif seen:
        said.append(
            f"{counted(seen, 'image')} of {len(whole):,} left out: the bundle learned from them, "
            "or from near-copies of them."
        )
    said += what_reviews_lack(whole)
    if unknown := whole.about.unknown:
        said.append(f"{capital(unknown)}.")
    if failures := len(whole.about.failures):
        said.append(f"{counted(failures, 'image')} could not be used and count in no figure.")
    groups = int(kept.groups.max(initial=-1)) + 1
    if groups < 30:
        said.append(
            f"The images are of {counted(groups, 'photo group')}: too few for any interval to be "
            "relied on."
        )
    return said


def worst_rows(content: Content) -> list[tuple[str, ...]]:
    """Of each of the worst mistakes its image, what it is, the verdict, the score."""
    kept, said = content.kept, verdicts(content.kept, content.policy)
    return [
        (
            str(kept.images["path"].iloc[row]),
            charts.class_title(kept, str(kept.images["truth"].iloc[row])),
            STRICTNESS[said[row]].value,
            ""
            if np.isnan(kept.scores[row])
            else beside_thresholds(float(kept.scores[row]), content.policy)[0],
            str(kept.images["group"].iloc[row]),
        )
        for row in content.worst
    ]


def report_json_of(content: Content) -> dict[str, Any]:
    """The report for machines: every figure, no picture; images by their paths."""
    kept, about = content.kept, content.kept.about
    paths = kept.images["path"].to_numpy()
    found = {
        "line": about.line.name,
        "bundle": about.bundle,
        "version": about.version,
        "data": about.data,
        "policy": content.policy.model_dump(mode="json"),
        "images": len(kept),
        "groups": int(kept.groups.max(initial=-1)) + 1,
        "warnings": content.warnings,
        "failures": [failed.model_dump() for failed in about.failures],
        "metrics": about.metrics.model_dump(mode="json"),
        "costs": content.costs,
        "consequence": content.consequence,
        "verdicts": _cells_of(content.verdicts),
        "confusion": _cells_of(content.confusion),
        "escapes": paths[content.verdicts.images["defective", "accept"]],
        "overkills": paths[content.verdicts.images["good", "reject"]],
        "roc": content.roc,
        "precision_recall": content.precision,
        "classes": content.classes,
        "histogram": content.histogram,
        "reliability": content.reliability,
        "worst": paths[content.worst],
        "groups_by_errors": content.groups.head(GROUPS),
        "masks": {n: m and m.model_dump(mode="json") for n, m in content.masks.items()},
        "detection": [
            {
                f.name: getattr(one, f.name)
                for f in dataclasses.fields(one)
                if f.name not in ("images", "length_px", "found")
            }
            for one in content.detections
        ],
        "promises": [
            {"asked": sure.asked, "sure": sure, "on_average": average}
            for sure, average in content.promises
        ],
    }
    return {name: plain_values(value) for name, value in found.items()}


def _cells_of(table: charts.Confusion) -> dict[str, dict[str, int]]:
    return {
        row: dict(zip(table.columns, counts, strict=True))
        for row, counts in zip(table.rows, table.counts.tolist(), strict=True)
    }


def plain_values(value: Any) -> Any:
    """`value` as JSON has it; what is no number is null."""
    if isinstance(value, pd.DataFrame):
        return [plain_values(row) for row in value.to_dict("records")]
    if isinstance(value, Policy):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain_values(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return plain_values(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain_values(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(one) for one in value]
    if isinstance(value, np.generic):
        return plain_values(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    json.dumps(value)
    return value
