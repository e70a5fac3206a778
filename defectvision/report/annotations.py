"""Masks as files that other programs read: COCO, and PNGs with an index."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Origin
from defectvision.csv_file import csv_bytes
from defectvision.data.coco_writer import CocoImage, coco_content
from defectvision.inference.image_error import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.report.archive import add, own_path
from defectvision.report.export import FINAL_COLUMNS, as_csv, final_columns, not_inspected


def coco_json(
    inspections: Iterable[Inspection],
    policy: Policy,
    origin: Origin,
    errors: Iterable[ImageError] = (),
) -> str:
    """COCO instance annotations: one for each region that the policy leaves, with its box, its
    run-length mask and its probability as the score; each image with what counts of it. errors:
    files that could not be inspected and answers that are gone, which stand in `info`; they may
    grow while `inspections` are read."""
    content = coco_content(_coco_images(inspections, policy), origin.mask_classes)
    content["info"] = {
        "description": f"DefectVision, line {origin.line.name}",
        "version": f"{origin.bundle} {origin.version}",
        "policy": policy.model_dump(),
        "not_inspected": not_inspected(errors),
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def _coco_images(inspections: Iterable[Inspection], policy: Policy) -> Iterator[CocoImage]:
    for found in inspections:
        regions, scores = [], []
        for name in found.mask_classes:
            cut = found.class_areas(name, policy)
            if cut is None:
                continue
            areas = cut.areas
            for number in range(1, len(areas) + 1):
                here = areas.marks == number
                mask = np.zeros(found.image_size, bool)
                height, width = here.shape
                mask[areas.top : areas.top + height, areas.left : areas.left + width] = here
                regions.append((name, mask))
                scores.append(float(cut.probability[here].mean()) / 255)
        size, judged = found.image_size, final_columns(found, policy)
        yield CocoImage(found.name, *size, tuple(regions), tuple(scores), judged)


def masks_zip(
    inspections: Iterable[Inspection],
    policy: Policy,
    origin: Origin,
    errors: Iterable[ImageError] = (),
) -> bytes:
    """A zip file of one PNG for each image, 0 background and class numbers as `classes.csv` names
    them (the later class where two meet), a table of the images, their labels and masks and what
    counts of each, and one of `errors`; as for `coco_json`."""
    out = io.BytesIO()
    numbers = {name: i for i, name in enumerate(origin.mask_classes, 1)}
    index: list[tuple[str, ...]] = []
    taken: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for found in inspections:
            values = np.zeros(found.image_size, np.uint8)
            for name, number in numbers.items():
                values[found.class_mask(name, policy)] = number
            place = own_path("masks", found.name, taken, ".png")
            add(archive, place, cv2.imencode(".png", values)[1].tobytes())
            judged = final_columns(found, policy)
            label, verdict = judged["final_label"], found.verdict(policy).value
            index.append((found.name, label, place, *judged.values(), verdict))
        columns = ("image", "label", "mask", *FINAL_COLUMNS, "verdict")
        add(archive, "images.csv", as_csv(columns, index))
        names = [("number", "name"), *((str(i), name) for name, i in numbers.items())]
        add(archive, "classes.csv", csv_bytes(names))
        if failed := not_inspected(errors):
            rows = [tuple(one.values()) for one in failed]
            add(archive, "not_inspected.csv", as_csv(("image", "error"), rows))
    return out.getvalue()
