"""An inspection as bytes: all that the model answered, so that nothing need be inferred again."""

from __future__ import annotations

import io
import json
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from defectvision.bundle.line import Line
from defectvision.inference.frame import Frame
from defectvision.inference.gate import Objection, objections_to
from defectvision.inference.inspection import Inspection, Milliseconds

# Maps are mostly smooth or empty: the fastest level already takes most of what any level does.
LEVEL = 1
LARGEST_BYTES = 1 << 30


class RecordError(ValueError):
    """Bytes that are no record of an inspection of this line."""


def write_record(inspection: Inspection) -> bytes:
    """The inspection without its name and line; the same inspection gives the same bytes, but
    for the time that it took."""
    about = {
        "bundle_version": inspection.bundle_version,
        "image_size": inspection.frame.image_size,
        "probabilities": inspection.probabilities,
        "defect_score": inspection.defect_score,
        "foreign_score": inspection.foreign_score,
        "objections": [asdict(objection) for objection in inspection.objections],
        "input_size": inspection.frame.input_size,
        "inside_size": inspection.inside.shape,
        "part_found": inspection.part_found,
        "milliseconds": asdict(inspection.milliseconds),
        "mask_classes": inspection.mask_classes,
    }
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "logits": inspection.logits,
        "evidence": inspection.evidence,
        "evidence_bias": inspection.evidence_bias,
        "inside": np.packbits(inspection.inside),
        "to_image": inspection.frame.to_image,
    }
    if inspection.masks is not None:
        arrays["masks"] = inspection.masks
    file = io.BytesIO()
    np.savez(file, **arrays)
    return zlib.compress(file.getvalue(), LEVEL)


def read_record(data: bytes, line: Line, name: str) -> Inspection:
    """The inspection that `write_record` wrote; raises RecordError."""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(data, LARGEST_BYTES)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        about = json.loads(arrays["about"].tobytes())
        if tuple(about["probabilities"]) != line.class_names:
            raise RecordError(
                f"{name}: was inspected for other classes than line '{line.name}' has now"
            )
        rows, columns = about["inside_size"]
        inside = np.unpackbits(arrays["inside"], count=rows * columns).astype(bool)
        return Inspection(
            name=name,
            line=line,
            bundle_version=about["bundle_version"],
            frame=Frame(tuple(about["image_size"]), tuple(about["input_size"]), arrays["to_image"]),
            logits=arrays["logits"],
            probabilities=about["probabilities"],
            defect_score=about["defect_score"],
            foreign_score=about["foreign_score"],
            evidence=arrays["evidence"],
            evidence_bias=arrays["evidence_bias"],
            inside=inside.reshape(rows, columns),
            part_found=about["part_found"],
            milliseconds=Milliseconds(**about["milliseconds"]),
            masks=arrays.get("masks"),
            mask_classes=tuple(about["mask_classes"]),
            objections=_objections(about),
        )
    except RecordError:
        raise
    except Exception as error:  # damaged bytes break zlib, zipfile, numpy and json in many ways
        raise RecordError(f"{name}: its record is damaged ({error}). Inspect it again") from error


def _objections(about: dict[str, Any]) -> tuple[Objection, ...]:
    """Those of the record; a record from before there were any has its foreign score alone."""
    if "objections" not in about:
        return objections_to(about["foreign_score"])
    return tuple(Objection(**found) for found in about["objections"])
