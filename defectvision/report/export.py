"""Results as a table and as objects; each is computed from the scores and the policy in force."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from defectvision.inference.bundle import LoadedBundle
from defectvision.inference.images import ImageError
from defectvision.inference.inspector import Inspection
from defectvision.inference.policy import Policy

SYNTHETIC = "synthetic sample"


def results_csv(
    inspections: Sequence[Inspection],
    policy: Policy,
    loaded: LoadedBundle,
    errors: Iterable[ImageError] = (),
    synthetic: Collection[str] = (),
) -> str:
    """One row per image, then one per file that could not be inspected.

    `synthetic` names the images that the program drew. Probabilities and scores lie in 0..1; the
    time is the model's and its preprocessing's, in ms.
    """
    names = loaded.line.class_names
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(
        ["name", "verdict", "label", "probability", "defect_score", "foreign_score"]
        + [f"probability_{name}" for name in names]
        + ["line", "bundle", "bundle_version", "accept_below", "reject_above", "milliseconds"]
        + ["source", "error"]
    )
    made_by = [loaded.line.name, loaded.bundle.name, loaded.version]
    made_by += [_number(policy.accept_below), _number(policy.reject_above)]
    for found in inspections:
        label = found.label(policy)
        table.writerow(
            [
                safe_cell(found.name),
                found.verdict(policy).value,
                label,
                _number(found.probabilities[label]),
                _number(found.defect_score),
                _number(found.foreign_score),
                *(_number(found.probabilities[name]) for name in names),
                *made_by,
                f"{found.milliseconds.total:.2f}",
                SYNTHETIC if found.name in synthetic else "",
                "",
            ]
        )
    for error in errors:
        reason = f"{error.reason}. {error.remedy}"
        empty = [""] * (5 + len(names))
        table.writerow([safe_cell(error.name), *empty, *made_by, "", "", safe_cell(reason)])
    return out.getvalue()


def safe_cell(text: str) -> str:
    """`text` for a table cell that no spreadsheet program takes for a formula.

    See OWASP, CSV injection (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"} else text


def result_object(
    inspection: Inspection, policy: Policy, loaded: LoadedBundle, synthetic: bool = False
) -> dict[str, Any]:
    """One inspection with what its model was, and the sums that its evidence adds up to."""
    height, width = inspection.image_size
    evidence = {}
    for index, name in enumerate(inspection.line.class_names):
        evidence[name] = {
            "mean": float(inspection.evidence[index].mean()),
            "bias": float(inspection.evidence_bias[index]),
            "logit": float(inspection.logits[index]),
            "share_on_part": inspection.evidence_inside(name),
        }
    return {
        **inspection.as_json(policy),
        "synthetic_sample": synthetic,
        "image": {"width": width, "height": height},
        "part_found": inspection.part_found,
        "evidence": evidence,
        "bundle": {
            "name": loaded.bundle.name,
            "version": loaded.version,
            "architecture": loaded.bundle.architecture,
            "temperature": loaded.bundle.temperature,
            "policy": loaded.bundle.policy.model_dump(),
        },
    }


def result_json(
    inspection: Inspection, policy: Policy, loaded: LoadedBundle, synthetic: bool = False
) -> str:
    """`result_object` as text."""
    content = result_object(inspection, policy, loaded, synthetic)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _number(value: float | None) -> str:
    """Enough digits to compare with a threshold; nothing where there is no score."""
    return "" if value is None else f"{value:.6g}"
