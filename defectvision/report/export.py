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
from defectvision.inference.policy import SEPARATOR, Policy

SYNTHETIC = "synthetic sample"
REGION_COLUMNS = (
    "name", "verdict", "class", "area_px", "length_px", "width_px", "x_px", "y_px",
    "left_px", "top_px", "box_width_px", "box_height_px", "probability",
    "area_mm2", "length_mm", "width_mm",
)  # fmt: skip


def results_csv(
    inspections: Sequence[Inspection],
    policy: Policy,
    loaded: LoadedBundle,
    errors: Iterable[ImageError] = (),
    synthetic: Collection[str] = (),
) -> str:
    """One row per image, then one per file that could not be inspected.

    `synthetic` names the images that the program drew. Several labels of one image are separated
    by `|`, the probability is the first one's. Probabilities and scores lie in 0..1; the time is
    the model's and its preprocessing's, in ms. Where the model segments, the number of regions and
    the largest one's area come with it, and the policy that cut them.
    """
    names = loaded.line.class_names
    segments = bool(loaded.bundle.mask_classes)
    rules = _policy_columns(policy, loaded)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(
        ["name", "verdict", "label", "probability", "defect_score", "foreign_score"]
        + [f"probability_{name}" for name in names]
        + (["regions", "largest_area_px", "largest_area_mm2"] if segments else [])
        + ["line", "bundle", "bundle_version", *rules, "milliseconds"]
        + ["source", "error"]
    )
    made_by = [loaded.line.name, loaded.bundle.name, loaded.version, *rules.values()]
    for found in inspections:
        labels = found.labels(policy)
        measured: list[str] = []
        if segments:
            regions = found.regions(policy)
            largest = regions[0] if regions else None
            measured = [
                str(len(regions)),
                str(largest.area_px) if largest else "",
                _number(largest.area_mm2) if largest else "",
            ]
        table.writerow(
            [
                safe_cell(found.name),
                found.verdict(policy).value,
                SEPARATOR.join(labels),
                _number(found.probabilities[labels[0]]) if labels else "",
                _number(found.defect_score),
                _number(found.foreign_score),
                *(_number(found.probabilities[name]) for name in names),
                *measured,
                *made_by,
                f"{found.milliseconds.total:.2f}",
                SYNTHETIC if found.name in synthetic else "",
                "",
            ]
        )
    for error in errors:
        reason = f"{error.reason}. {error.remedy}"
        empty = [""] * (5 + len(names) + 3 * segments)
        table.writerow([safe_cell(error.name), *empty, *made_by, "", "", safe_cell(reason)])
    return out.getvalue()


def _policy_columns(policy: Policy, loaded: LoadedBundle) -> dict[str, str]:
    """The numbers of the policy that this bundle's results depend on, by column."""
    columns = {
        "accept_below": _number(policy.accept_below),
        "reject_above": _number(policy.reject_above),
    }
    if loaded.line.label_mode == "multilabel":
        for name in loaded.line.class_names:
            columns[f"class_threshold_{name}"] = _number(policy.class_threshold(name))
    if loaded.bundle.mask_classes:
        columns["smallest_region_px"] = str(policy.smallest_region_px)
        columns["mm_per_px"] = _number(policy.mm_per_px)
        for name in loaded.bundle.mask_classes:
            columns[f"mask_threshold_{name}"] = _number(policy.mask_threshold(name))
    return columns


def regions_csv(
    inspections: Sequence[Inspection],
    policy: Policy,
    loaded: LoadedBundle,
    synthetic: Collection[str] = (),
) -> str:
    """One row per region, an image's largest first; an image without one has no row.

    Lengths in px and, where the policy knows the scale, in mm; x, y, left and top from the upper
    left corner of the image; the probability is the mean inside.
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    rules = _policy_columns(policy, loaded)
    table.writerow([*REGION_COLUMNS, "line", "bundle", "bundle_version", *rules, "source"])
    made_by = [loaded.line.name, loaded.bundle.name, loaded.version, *rules.values()]
    for found in inspections:
        verdict = found.verdict(policy).value
        source = SYNTHETIC if found.name in synthetic else ""
        for region in found.regions(policy):
            sizes = (region.length_px, region.width_px, region.x_px, region.y_px)
            box = (region.left_px, region.top_px, region.box_width_px, region.box_height_px)
            millimetres = (region.area_mm2, region.length_mm, region.width_mm)
            table.writerow(
                [safe_cell(found.name), verdict, region.class_name, region.area_px]
                + [f"{value:.2f}" for value in sizes]
                + [*box, _number(region.probability)]
                + [_number(value) for value in millimetres]
                + [*made_by, source]
            )
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
