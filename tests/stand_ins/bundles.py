"""Tiny bundles of the served format: fixed filters instead of learned ones, written in a moment.

The casting filter answers to small dark pits on the face of the part, so drawn defects score
above good parts; the six filters of neu-surface only give each kind of surface its own scores.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Bundle, Preprocessing
from defectvision.data.synthetic.samples import draw
from defectvision.inference.gate import foreign_distance
from defectvision.inference.preprocessing import PART_RADIUS, prepare
from defectvision.inference.runtime import OnnxRuntime
from tests.stand_ins.mask_bundles import BANDS, write_mask_model
from tests.stand_ins.networks import write_network

STRIP = "severstal-strip"
SIZE, CELL = 224, 16  # px of the model's input, and of one cell of its evidence grid
LINES = {
    "casting": Line(
        name="casting",
        title="Casting",
        classes=(
            DefectClass(name="ok", title="Good", kind="ok", colour="#009e73"),
            DefectClass(name="def", title="Defective", kind="defect", colour="#d55e00"),
        ),
        default_bundle="resnet50",
    ),
    "neu-surface": Line(
        name="neu-surface",
        title="Hot-rolled steel surface",
        classes=tuple(
            DefectClass(
                name=name, title=name.replace("_", " ").capitalize(), kind="defect", colour=colour
            )
            for name, colour in {
                "crazing": "#0072b2",
                "inclusion": "#d55e00",
                "patches": "#009e73",
                "pitted_surface": "#b5548f",
                "rolled-in_scale": "#b87d00",
                "scratches": "#3592c9",
            }.items()
        ),
        default_bundle="resnet50",
    ),
    "magnetic-tile": Line(
        name="magnetic-tile",
        title="Magnetic tile",
        classes=(
            DefectClass(name="free", title="Good", kind="ok", colour="#4c9a6a"),
            DefectClass(name="blowhole", title="Blowhole", kind="defect", colour="#0072b2"),
            DefectClass(name="break", title="Break", kind="defect", colour="#d55e00"),
            DefectClass(name="crack", title="Crack", kind="defect", colour="#b5548f"),
            DefectClass(name="fray", title="Fray", kind="defect", colour="#b87d00"),
            DefectClass(name="uneven", title="Uneven", kind="defect", colour="#3592c9"),
        ),
        default_bundle="unet",
    ),
    "severstal-strip": Line(
        name="severstal-strip",
        title="Steel strip",
        classes=tuple(
            DefectClass(name=name, title=f"Class {name}", kind="defect", colour=colour)
            for name, colour in {
                "1": "#0072b2",
                "2": "#d55e00",
                "3": "#009e73",
                "4": "#b5548f",
            }.items()
        ),
        label_mode="multilabel",
        default_bundle="unet",
    ),
}
POLICIES = {
    "casting": Policy(accept_below=0.3, reject_above=0.7),
    "magnetic-tile": Policy(accept_below=0.3, reject_above=0.7, smallest_region_px=4),
    "severstal-strip": Policy(accept_below=0.3, reject_above=0.6, smallest_region_px=20),
}
CARD = """# {line} / {name}

A stand-in of fixed filters, made for tests. **It was not trained.**

## Limits

It knows nothing about real parts.
"""


def write_bundle(
    weights: Path, line: str, name: str, *, policy: Policy | None = None, gain: float = 1.0
) -> Path:
    """Write bundle `name` of `line`, and the line itself where it is missing; returns its folder.

    `gain` scales the evidence, so that two bundles of a line give different scores.
    """
    about = LINES[line]
    folder = weights / line / name
    folder.mkdir(parents=True)
    _write_json(weights / line / "line.json", about.model_dump(mode="json"))
    how = _preprocessing(line)
    files, bias, limit = _network(line, gain)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    (folder / "README.md").write_text(CARD.format(line=line, name=name), encoding="utf-8")
    policy = policy or POLICIES.get(line, Policy())
    content = {
        "line": line,
        "name": name,
        "architecture": "fixed-filters",
        "pooling": "mean",
        "classes": about.class_names,
        "preprocessing": how.model_dump(),
        "evidence_bias": bias,
        "mask_classes": tuple(BANDS[line].levels) if line in BANDS else (),
        "policy": policy.model_dump(),
        "foreign": {"file": "foreign.npz", "limit": limit},
        "precision": "fp32",
        "provenance": _provenance(about),
        "metrics": _metrics(about, policy),
        "files": {file: hashlib.sha256(data).hexdigest() for file, data in files.items()},
    }
    _write_json(folder / "bundle.json", Bundle.model_validate(content).model_dump(mode="json"))
    return folder


def _preprocessing(line: str) -> Preprocessing:
    if line in BANDS:
        return BANDS[line].preprocessing
    return Preprocessing(
        height=SIZE, width=SIZE, fit="round_part" if line == "casting" else "stretch"
    )


@cache
def _network(line: str, gain: float) -> tuple[dict[str, bytes], list[float], float]:
    """The files, the evidence's bias and the foreign limit, which many modules ask for."""
    about = LINES[line]
    with TemporaryDirectory() as place:
        folder = Path(place)
        model = folder / "model.onnx"
        if line in BANDS:
            bias = write_mask_model(model, line, about.class_names)
        else:
            bias = _write_model(model, line, len(about.classes), gain)
        limit = _write_foreign(folder, about, _preprocessing(line))
        files = {name: (folder / name).read_bytes() for name in ("model.onnx", "foreign.npz")}
    return files, bias, limit


def _filters(line: str) -> tuple[NDArray[np.float32], float, NDArray[np.float32]]:
    """Kernels (F, 1, k, k), what their answer must exceed, and where it counts (H, W)."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    if line == "casting":
        kernel = np.full((15, 15), 1 / 225, np.float32)
        kernel[7, 7] -= 1  # how much darker a pixel is than its neighbourhood
        radius = np.hypot(x, y) / (PART_RADIUS * SIZE)
        return kernel[None, None], 0.5, ((radius > 0.66) & (radius < 0.92)).astype(np.float32)
    y, x = np.mgrid[-3:4, -3:4].astype(np.float32)
    blob = np.exp(-(x**2 + y**2) / 4)
    kernels = np.stack(
        [blob - blob.mean(), -(blob - blob.mean()), x, y, np.sign(x * y), np.cos(np.pi * (x + y))]
    )
    kernels /= np.abs(kernels).sum((1, 2), keepdims=True)
    return kernels[:, None].astype(np.float32), 0.05, np.ones((SIZE, SIZE), np.float32)


def _write_model(file: Path, line: str, classes: int, gain: float) -> list[float]:
    """Write the network; returns the bias that the mean of the evidence lacks."""
    kernels, threshold, where = _filters(line)
    if line == "casting":
        head = np.array([[-10000.0], [10000.0]])
        bias = np.array([1.0, -1.0])
    else:
        head = 40.0 * (np.eye(classes, len(kernels)) - 0.2)
        bias = np.zeros(classes)
    constants = {
        "kernels": kernels,
        "threshold": np.float32(threshold),
        "where": where[None, None],
        "head": (gain * head)[:, :, None, None].astype(np.float32),
        "bias": bias.astype(np.float32),
    }
    pad = kernels.shape[-1] // 2
    node = helper.make_node
    nodes = [
        node("Conv", ["images", "kernels"], ["answer"], pads=[pad] * 4),
        node("Sub", ["answer", "threshold"], ["above"]),
        node("Relu", ["above"], ["found"]),
        node("Mul", ["found", "where"], ["counted"]),
        node("AveragePool", ["counted"], ["grid"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
    ]
    cells = SIZE // CELL
    shapes = {"logits": [classes], "evidence": [classes, cells, cells], "embedding": [2]}
    write_network(file, nodes, constants, (SIZE, SIZE), shapes)
    return bias.tolist()


def _write_foreign(folder: Path, line: Line, how: Preprocessing) -> float:
    """What drawn samples usually look like; anything twice as far away is foreign."""
    model = OnnxRuntime(folder / "model.onnx")
    drawn = [
        draw(line.name, label, np.random.default_rng(seed), 256 if line.name == STRIP else 200)
        for label in line.class_names
        for seed in range(8)
    ]
    inputs = np.stack([prepare(image, how)[0] for image in drawn])
    seen = model.run(inputs)["embedding"]
    usual = {
        "mean": seen.mean(0),
        "components": np.eye(1, 2, dtype=np.float32),
        "scale": seen.std(0)[:1] + 0.05,
        "residual": seen.std(0)[1:] + 0.05,
    }
    np.savez(folder / "foreign.npz", **usual)
    return float(2 * foreign_distance(seen, **usual).max())


def _provenance(line: Line) -> dict:
    return {
        "data": f"{line.name}-synthetic",
        "sources": [
            {
                "name": "Drawn samples",
                "source": "defectvision.data.synthetic.samples",
                "licence": "Apache-2.0",
            }
        ],
        "images": {f"train/{name}": 8 for name in line.class_names},
        "photo_groups": 12,
        "recipe": {"name": "stand-in", "split": {"seed": 7}, "epochs": 0, "pretrained": "none"},
        "defectvision": "0.1.0",
    }


def _metrics(line: Line, policy: Policy) -> list[dict]:
    def measured(value: float) -> dict:
        return {"value": value, "low": value - 0.06, "high": min(1.0, value + 0.04)}

    names = line.class_names
    values = {"accuracy": measured(0.91), "macro_f1": measured(0.9), "auc": measured(0.95)}
    if line.can_accept:
        values |= {"escapes": measured(0.08), "overkills": measured(0.07)}
    confusion = {a: {b: 44 if a == b else 3 for b in names} for a in names}
    common = {"policy": policy.model_dump(), "values": values, "confusion": confusion}
    return [
        {"split": "test split, photo groups held out", "data": "drawn samples", "images": 94,
         "groups": 40, **common},
        {"split": "training photographs again", "data": "drawn samples", "images": 94,
         "groups": 40, "seen": True, **common},
    ]  # fmt: skip


def _write_json(file: Path, content: dict) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
