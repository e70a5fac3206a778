"""Train every segmenting architecture on the same images with the same budget, and compare them.

    python -m benchmarks.segmentation ../shared/data/magnetic_tile ../shared/data/neu

All see the same split (photo groups and near-copies kept whole), the same size, loss, augmentation
and number of images; masks are counted on the test split at the model's input size, at 0.5. The
time is that of the exported model in the serving runtime, one image at a time, the median of 30
runs. Results go to docs/segmentation.md; a run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from defectvision.audit.study import study
from defectvision.bundle.line import Line
from defectvision.bundle.schema import Measure
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.segmentation import PixelCounts, measure_masks
from defectvision.inference.runtime import load_runtime
from defectvision.limits import PIXELS
from defectvision.models import create_model
from defectvision.settings import Settings
from defectvision.training.dataset import PlacedImages
from defectvision.training.export import write_onnx
from defectvision.training.loop import train
from defectvision.training.new_line import line_for
from defectvision.training.recipe import Recipe
from defectvision.training.task import TrainingTask

ARCHITECTURES = (
    "fcn", "unet", "unet_leaky", "residual_unet", "multiscale_unet",
    "unet_resnet18", "unet_resnet34", "unet_resnet50", "unet_efficientnet_lite0",
    "fpn_resnet18", "fpn_resnet34", "fpn_resnet50", "fpn_efficientnet_lite0",
    "joint_resnet50", "joint_efficientnet_lite0",
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent
TIMED_RUNS = 30
BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=400, help="images that each learns from")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "segmentation")
    parser.add_argument("--only", nargs="*", default=ARCHITECTURES)
    options = parser.parse_args()
    results = {}
    for data in options.data:
        images, line = _open(data)
        for name in options.only:
            run = options.runs / f"{data.name}-{options.size}-{options.samples}" / name
            results[data.name, name] = _result(run, images, line, name, options)
            print(data.name, name, json.dumps(results[data.name, name]), flush=True)
    text = "\n\n".join(_table(data.name, options, results) for data in options.data)
    print(text)
    if options.only != ARCHITECTURES:
        return
    document = ROOT / "docs" / "segmentation.md"
    head = document.read_text(encoding="utf-8").split(MARK)[0] if document.is_file() else ""
    document.write_text(f"{head}{MARK}\n\n{text}\n", encoding="utf-8")


MARK = "<!-- written by benchmarks/segmentation.py -->"


def _open(data: Path) -> tuple[ImageSet, Line]:
    """The images of a set whose defects are marked, and the good ones."""
    found = study(data, Settings().cache, PIXELS)
    images = replace(found.image_set, catalog=found.grouped)
    table = images.catalog.table
    marked = table[table["mask"] != ""]
    images = images.take(np.flatnonzero(table["label"].isin(set(marked["label"]))))
    with tempfile.TemporaryDirectory() as nowhere:
        line = line_for(images.catalog, Path(nowhere) / "line", "none")
    return images, line


def _result(
    run: Path, images: ImageSet, line: Line, name: str, options: argparse.Namespace
) -> dict:
    done = run / "result.json"
    if done.is_file():
        return json.loads(done.read_text())
    epochs = 4
    steps = options.samples // BATCH
    recipe = Recipe.model_validate(
        {
            "architecture": name,
            "pretrained": "auto" if "efficientnet_lite0" in name else "none",
            "fresh_rate": 5,  # of a pretrained backbone only
            "preprocessing": {"height": options.size, "width": options.size, "fit": "letterbox"},
            "split": {"train": 0.62, "val": 0.13, "test": 0.25},
            "augmentation": {"upside_down": True, "zoom": 0.1, "contrast": 0.2},
            "imbalance": {"sampling": "class"},
            "masks": {"losses": {"bce_dice": 1.0, "lovasz_hinge": 0.3}},
            "epochs": epochs,
            "samples_per_epoch": options.samples // epochs,
            "batch_size": BATCH,
            "weight_decay": 0.01,
            "warmup_steps": steps // 10,
            "gradient_clip": 1.0,
            "tracking": "none",
        }
    )
    task = TrainingTask.of(recipe, line, images)
    started = time.perf_counter()
    weights = train(task, run)
    seconds = time.perf_counter() - started
    model = task.trained_network(weights).eval()
    values = _count(model, task)
    result = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "milliseconds": _milliseconds(recipe, line, options.size),
        "seconds": round(seconds, 1),
        "values": {k: v.model_dump() for k, v in values.items() if v is not None},
    }
    done.write_text(json.dumps(result))
    return result


@torch.inference_mode()
def _count(model: nn.Module, task: TrainingTask) -> dict[str, Measure | None]:
    images = task.images.subset("test")
    data = PlacedImages(images, task.line, task.recipe.preprocessing, task.mask_classes)
    counts = []
    for i in range(len(data)):
        example = data[i]
        masks = model(example.image[None]).masks
        drawn = functional.interpolate(masks, size=example.image.shape[1:], mode="bilinear")[0] > 0
        counts.append(PixelCounts.of(drawn.numpy(), example.masks.numpy(), example.counts.numpy()))
    return measure_masks(PixelCounts.join(counts), task.mask_classes, images.catalog.groups())


def _milliseconds(recipe: Recipe, line: Line, size: int) -> float:
    model = create_model(recipe.architecture, len(line.classes), 1)
    image = np.random.default_rng(0).normal(size=(1, 1, size, size)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(model, (size, size), 1, file)
        runtime = load_runtime(file)
        took = []
        for _ in range(TIMED_RUNS + 5):
            started = time.perf_counter()
            runtime.run(image)
            took.append((time.perf_counter() - started) * 1e3)
    return round(statistics.median(took[5:]), 2)


def _table(data: str, options: argparse.Namespace, results: dict) -> str:
    names = [n for n in options.only if (data, n) in results]
    classes = [
        k.removeprefix("iou/") for k in results[data, names[0]]["values"] if k.startswith("iou/")
    ]
    rows = [
        f"## {data}",
        "",
        f"{options.size} px, {options.samples} images learned from, {os.cpu_count()} cores. IoU "
        "over the pooled pixels of the images that hold the class; Dice is the mean over those "
        "images.",
        "",
        "| architecture | parameters | ms | mean IoU (95 %) | "
        + " | ".join(f"{c}: IoU, Dice" for c in classes)
        + " |",
        "| --- | ---: | ---: | --- |" + " --- |" * len(classes),
    ]
    best = sorted(names, key=lambda n: -results[data, n]["values"]["mean_iou"]["value"])
    for name in best:
        found = results[data, name]
        values = found["values"]
        mean = values["mean_iou"]
        cells = [
            f"{values[f'iou/{c}']['value']:.3f}, {values[f'dice/{c}']['value']:.3f}"
            if f"iou/{c}" in values
            else "none"
            for c in classes
        ]
        rows.append(
            f"| `{name}` | {found['parameters'] / 1e6:.1f} M | {found['milliseconds']:.1f} | "
            f"{mean['value']:.3f} ({mean['low']:.3f} to {mean['high']:.3f}) | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
