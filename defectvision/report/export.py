"""Results as a table and as objects; each is computed from the scores and the policy in force."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from defectvision.bundle.labels import join_labels
from defectvision.bundle.policy import Policy, regions_in_words
from defectvision.bundle.schema import LoadedBundle, Origin
from defectvision.bundle.words import calibration_words
from defectvision.csv_file import csv_bytes
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.judged import Judged
from defectvision.report.looks import SYNTHETIC

Cell = str | float | int | None
# A sign that begins a formula, also in its full width, at the beginning or after what divides cells
# in some locale. A comma divides nothing: a text with one is quoted.
_FORMULA = re.compile(r'(\A|[;|\t\r\n])((?:"|(?![\t\r\n])\s)*[=+\-@\uff1d\uff0b\uff0d\uff20])')


class Format(NamedTuple):
    """One kind of file: its name for people, how its file name ends, its MIME type, and what makes
    it."""

    title: str
    ending: str
    mime: str
    make: Callable[[], bytes | str]


FINAL_COLUMNS = ("final_verdict", "final_label", "decided_by", "decided_at", "note")
MEASURED_COLUMNS = ("regions", "largest_area_px", "largest_area_mm2", "broken_rules")
REGION_COLUMNS = (
    "name", "final_verdict", "verdict", "class", "area_px", "length_px", "width_px", "x_px", "y_px",
    "left_px", "top_px", "box_width_px", "box_height_px", "probability",
    "area_mm2", "length_mm", "width_mm", "zones",
)  # fmt: skip


def result_columns(origin: Origin, policy: Policy) -> list[str]:
    """The columns of `result_rows`."""
    return [
        *("name", *FINAL_COLUMNS),
        *("verdict", "label", "probability", "defect_score", "foreign_score", "objection"),
        *(f"probability_{name}" for name in origin.line.class_names),
        *(MEASURED_COLUMNS if origin.mask_classes else ()),
        *("line", "bundle", "bundle_version", *_policy_columns(policy, origin)),
        *("milliseconds", "source", "error"),
    ]


def result_rows(
    inspections: Iterable[Judged],
    policy: Policy,
    origin: Origin,
    errors: Iterable[ImageError] = (),
    synthetic: Collection[str] = (),
) -> Iterator[list[Cell]]:
    """One row per image, then one per file that could not be inspected; see `result_columns`.

    `final_verdict` is what counts: the decision of people where there is one, then with who, when
    (UTC) and why, else `verdict`, which stays the model's.
    `synthetic` names the images that the program drew. Several labels of one image are separated
    by `|`, the probability is the first one's. Probabilities and scores lie in 0..1; `objection`
    says why there can be no verdict; the time is the model's and its preprocessing's, in ms. Where
    the model segments, the number of regions and the largest one's area come with it, the rules
    that the part breaks, and the policy that cut them; where they cannot be had, `error` says why.
    """
    names = origin.line.class_names
    numbers = _policy_columns(policy, origin).values()
    made_by: list[Cell] = [origin.line.name, origin.bundle, origin.version, *numbers]
    for found in inspections:
        labels = found.labels(policy)
        measured: list[Cell] = []
        if origin.mask_classes:
            regions = found.known_regions(policy)
            largest = regions[0] if regions else None
            measured = [
                None if regions is None else len(regions),
                largest.area_px if largest else None,
                largest.area_mm2 if largest else None,
                "; ".join(found.broken_in_words(policy)),
            ]
        yield [
            found.name,
            *final_columns(found, policy).values(),
            found.verdict(policy).value,
            join_labels(labels),
            found.probabilities[labels[0]] if labels else None,
            found.defect_score,
            found.foreign_score,
            found.objection,
            *(found.probabilities[name] for name in names),
            *measured,
            *made_by,
            round(found.times["total"], 2),
            SYNTHETIC if found.name in synthetic else "",
            found.lost,
        ]
    empty: list[Cell] = [None] * (
        11 + len(names) + len(MEASURED_COLUMNS) * bool(origin.mask_classes)
    )
    for error in errors:
        yield [error.name, *empty, *made_by, None, "", f"{error.reason}. {error.remedy}"]


def final_columns(found: Judged, policy: Policy) -> dict[str, str]:
    """What counts of a part, and who decided it, by `FINAL_COLUMNS`."""
    decision = found.decision
    values = (
        found.final_verdict(policy).value,
        join_labels(found.final_labels(policy)),
        decision.who if decision else "",
        decision.at.isoformat(timespec="seconds") if decision else "",
        decision.note if decision else "",
    )
    return dict(zip(FINAL_COLUMNS, values, strict=True))


def region_columns(origin: Origin, policy: Policy) -> list[str]:
    """The columns of `region_rows`."""
    made_by = ("line", "bundle", "bundle_version", *_policy_columns(policy, origin))
    return [*REGION_COLUMNS, *made_by, "source"]


def region_rows(
    inspections: Iterable[Judged],
    policy: Policy,
    origin: Origin,
    synthetic: Collection[str] = (),
) -> Iterator[list[Cell]]:
    """One row per region, an image's largest first; an image without one has no row. One whose
    regions cannot be had has a row without a class, and the reason in `source`.

    Lengths in px and, where the policy knows the scale, in mm; x, y, left and top from the upper
    left corner of the image; the probability is the mean inside.
    """
    numbers = _policy_columns(policy, origin).values()
    made_by: list[Cell] = [origin.line.name, origin.bundle, origin.version, *numbers]
    for found in inspections:
        verdicts = (found.final_verdict(policy).value, found.verdict(policy).value)
        source = SYNTHETIC if found.name in synthetic else ""
        regions = found.known_regions(policy)
        if regions is None:
            nothing: list[Cell] = [None] * (len(REGION_COLUMNS) - 3)
            yield [found.name, *verdicts, *nothing, *made_by, found.lost]
        for region in regions or ():
            sizes = (region.length_px, region.width_px, region.x_px, region.y_px)
            yield [
                *(found.name, *verdicts, region.class_name, region.area_px),
                *(round(value, 2) for value in sizes),
                *(region.left_px, region.top_px, region.box_width_px, region.box_height_px),
                *(region.probability, region.area_mm2, region.length_mm, region.width_mm),
                join_labels(region.zones),
                *made_by,
                source,
            ]


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """A table as a CSV file, see csv_file.py; no cell is taken for a formula."""
    return csv_bytes([_text(value) for value in row] for row in chain([columns], rows))


def results_csv(
    inspections: Iterable[Judged],
    policy: Policy,
    origin: Origin,
    errors: Iterable[ImageError] = (),
    synthetic: Collection[str] = (),
) -> bytes:
    """`result_rows` as a CSV file."""
    rows = result_rows(inspections, policy, origin, errors, synthetic)
    return as_csv(result_columns(origin, policy), rows)


def results_json(
    inspections: Iterable[Judged], policy: Policy, errors: Iterable[ImageError] = ()
) -> bytes:
    """A list of objects, one per image, then one with `path` and `error` per file that could not
    be inspected."""
    rows = [found.as_json(policy) for found in inspections] + not_inspected(errors)
    return (json.dumps(rows, indent=1, ensure_ascii=False) + "\n").encode()


def not_inspected(errors: Iterable[ImageError]) -> list[dict[str, str]]:
    """Files without a result as objects, as `inspect --json` names them."""
    return [{"path": e.name, "error": f"{e.reason}. {e.remedy}"} for e in errors]


def regions_csv(
    inspections: Iterable[Judged],
    policy: Policy,
    origin: Origin,
    synthetic: Collection[str] = (),
) -> bytes:
    """`region_rows` as a CSV file."""
    rows = region_rows(inspections, policy, origin, synthetic)
    return as_csv(region_columns(origin, policy), rows)


def _policy_columns(policy: Policy, origin: Origin) -> dict[str, Cell]:
    """The numbers of the policy that this bundle's results depend on, by column."""
    columns: dict[str, Cell] = {
        "accept_below": policy.accept_below,
        "reject_above": policy.reject_above,
    }
    if origin.line.label_mode == "multilabel":
        for name in origin.line.class_names:
            columns[f"class_threshold_{name}"] = policy.class_threshold(name)
    if origin.mask_classes:
        columns["smallest_region_px"] = policy.smallest_region_px
        columns["mm_per_px"] = policy.mm_per_px
        for name in origin.mask_classes:
            columns[f"mask_threshold_{name}"] = policy.mask_threshold(name)
        columns["rules"] = regions_in_words(policy, origin.line)
    return columns


def safe_cell(text: str) -> str:
    """`text` for a table cell that no spreadsheet program takes for a formula, nor a part of it
    where the program divides cells at another character than the comma.

    See OWASP, CSV injection (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    safe = _FORMULA.sub(r"\1'\2", text)
    return f"'{safe}" if safe[:1] in {"\t", "\r", "\n"} else safe


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
            "calibration": calibration_words(loaded.bundle),
            "policy": loaded.bundle.policy.model_dump(),
        },
    }


def result_json(
    inspection: Inspection, policy: Policy, loaded: LoadedBundle, synthetic: bool = False
) -> str:
    """`result_object` as text."""
    content = result_object(inspection, policy, loaded, synthetic)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _text(value: Cell) -> str:
    """Enough digits to compare with a threshold; nothing where there is no value."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else safe_cell(str(value))
