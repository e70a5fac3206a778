"""Train every segmenting architecture on the same images with the same budget, and compare them.

    python -m benchmarks.segmentation ../shared/data/magnetic_tile ../shared/data/neu

All see the same split (photo groups and near-copies kept whole), the same size, loss, augmentation
and number of images; masks are counted on the test split at the model's input size, at 0.5. With
`--curve` the two best of each set learn from fewer and from more images, too. The time is that of
the exported model in the serving runtime, fp32, one image at a time, the median of some runs, to be
taken on an idle machine. Results go to docs/segmentation.md; what was broken off goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.folds import counted, learned, opened, told
from defectvision.bundle.line import Line
from defectvision.bundle.schema import Measure
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.segmentation import measure_masks
from defectvision.inference.runtime import runtime_of
from defectvision.models import create_model
from defectvision.settings import ROOT
from defectvision.training.dataset import PlacedImages
from defectvision.training.export import to_graph
from defectvision.training.recipe import Recipe
from defectvision.training.task import TrainingTask

ARCHITECTURES = (
    "fcn", "unet", "unet_leaky", "residual_unet", "multiscale_unet",
    "unet_resnet18", "unet_resnet34", "unet_resnet50", "unet_efficientnet_lite0",
    "fpn_resnet18", "fpn_resnet34", "fpn_resnet50", "fpn_efficientnet_lite0",
    "joint_resnet50", "joint_efficientnet_lite0",
)  # fmt: skip
WITH_WEIGHTS = ("efficientnet_lite0", "resnet50")  # encoders that do not begin at random
TIMED = ((64, 400), (128, 800), (64, 512), (256, 1600))  # px, height and width
SIZE, SAMPLES, EPOCHS = 192, 5000, 4
CURVE = (1250, 2500, 5000, 10_000)
BEST = 2  # networks of each set whose curve is drawn
TIMED_RUNS = 20
BATCH = 16
MARK = "<!-- written by benchmarks/segmentation.py -->"
Figures = dict[str, Measure]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "segmentation")
    parser.add_argument("--curve", action="store_true")
    asked = parser.parse_args()
    parts = []
    for data in asked.data:
        images, line = marked(data)
        found = {
            name: figures(run_of(asked.runs, data, name, SAMPLES), images, line, name, SAMPLES)
            for name in ARCHITECTURES
        }
        parts.append(f"## {data.name}\n\n{_table(found)}")
        curves = {
            name: [
                figures(run_of(asked.runs, data, name, samples), images, line, name, samples)
                for samples in CURVE
            ]
            for name in ranked(found)[:BEST]
            if asked.curve
        }
        if curves:
            parts.append(f"### More and fewer images\n\n{_curves(curves)}")
    parts.append(f"## Time an image\n\n{_times(asked.runs / 'times.json')}")
    text = "\n\n".join(parts)
    print(text)
    document = ROOT / "docs" / "segmentation.md"
    head = document.read_text(encoding="utf-8").partition(MARK)[0]
    document.write_text(f"{head}{MARK}\n\n{text}\n", encoding="utf-8")


def marked(data: Path) -> tuple[ImageSet, Line]:
    """The images of a set whose defects are marked, and the good ones."""
    images, line = opened(data)
    table = images.catalog.table
    labels = set(table["label"][table["mask"] != ""])
    chosen = images.take(np.flatnonzero(table["label"].isin(labels)))
    kept = tuple(one for one in line.classes if one.name in labels)
    return chosen, line.model_copy(update={"classes": kept})


def run_of(runs: Path, data: Path, name: str, samples: int) -> Path:
    """Where a network's training is kept."""
    return runs / f"{data.name}-{SIZE}-{samples}" / name


def figures(run: Path, images: ImageSet, line: Line, name: str, samples: int) -> Figures:
    """Figures of the masks of a network that learned from `samples` images."""
    done = run / "figures.json"
    if not done.is_file():
        task = TrainingTask.of(recipe_of(name, samples), line, images)
        model = learned(task, run)
        test = task.images.subset("test")
        placed = PlacedImages(test, line, task.recipe.preprocessing, task.mask_classes)
        values = measure_masks(counted(model, placed), task.mask_classes, test.catalog.groups())
        known = {key: value.model_dump() for key, value in values.items() if value is not None}
        done.write_text(json.dumps(known))
        print(name, samples, known["mean_iou"], flush=True)
    return {key: Measure(**value) for key, value in json.loads(done.read_text()).items()}


def recipe_of(name: str, samples: int) -> Recipe:
    """The same for all networks but for the weights that they begin with."""
    return Recipe.model_validate(
        {
            "architecture": name,
            "pretrained": "auto" if name.endswith(WITH_WEIGHTS) else "none",
            "fresh_rate": 5,  # of a pretrained backbone only
            "preprocessing": {"height": SIZE, "width": SIZE, "fit": "letterbox"},
            "split": {"train": 0.62, "val": 0.13, "test": 0.25},
            "augmentation": {"upside_down": True, "zoom": 0.1, "contrast": 0.2},
            "imbalance": {"sampling": "class"},
            "masks": {"losses": {"bce_dice": 1.0, "lovasz_hinge": 0.3}},
            "epochs": EPOCHS,
            "samples_per_epoch": samples // EPOCHS,
            "batch_size": BATCH,
            "weight_decay": 0.01,
            "warmup_steps": samples // BATCH // 10,
            "gradient_clip": 1.0,
            "keep": "last",
            "tracking": "none",
        }
    )


def ranked(found: dict[str, Figures]) -> list[str]:
    """The networks by their mean IoU, best first."""
    return sorted(found, key=lambda name: -found[name]["mean_iou"].value)


def _milliseconds(name: str, size: tuple[int, int]) -> float:
    model = create_model(name, 4, 1)
    image = np.random.default_rng(0).normal(size=(1, 1, *size)).astype(np.float32)
    runtime = runtime_of(to_graph(model, size, 1).SerializeToString())
    took = []
    for _ in range(TIMED_RUNS + 3):
        started = time.perf_counter()
        runtime.run(image)
        took.append((time.perf_counter() - started) * 1e3)
    return round(statistics.median(took[3:]), 2)


def _table(found: dict[str, Figures]) -> str:
    classes = [
        key.removeprefix("iou/") for key in next(iter(found.values())) if key.startswith("iou/")
    ]
    rows = [
        f"{SIZE} px, {SAMPLES:,} images learned from. IoU over the pooled pixels of the images "
        "that hold the class; Dice is the mean over those images.",
        "",
        f"| architecture | mean IoU (95 %) | {' | '.join(f'{c}: IoU, Dice' for c in classes)} |",
        "| --- | --- |" + " --- |" * len(classes),
    ]
    for name in ranked(found):
        values = found[name]
        cells = [
            f"{values[f'iou/{c}'].value:.3f}, {values[f'dice/{c}'].value:.3f}" for c in classes
        ]
        rows.append(f"| `{name}` | {told(values['mean_iou'])} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _curves(curves: dict[str, list[Figures]]) -> str:
    rows = [
        f"| architecture | {' | '.join(f'{samples:,}' for samples in CURVE)} |",
        "| --- |" + " --- |" * len(CURVE),
    ]
    for name, points in curves.items():
        rows.append(f"| `{name}` | {' | '.join(told(one['mean_iou']) for one in points)} |")
    return "\n".join(rows)


def _times(kept: Path) -> str:
    """Milliseconds an image by network and size; measured once and kept."""
    if kept.is_file():
        times = json.loads(kept.read_text())
    else:
        times = {name: [_milliseconds(name, size) for size in TIMED] for name in ARCHITECTURES}
        kept.write_text(json.dumps(times))
    sizes = [f"{height}x{width}" for height, width in TIMED]
    rows = [
        f"Milliseconds on {os.cpu_count()} cores.",
        "",
        f"| architecture | parameters | {' | '.join(sizes)} |",
        "| --- | ---: |" + " ---: |" * len(sizes),
    ]
    for name in sorted(times, key=lambda name: times[name][-1]):
        model = create_model(name, 4, 1)
        parameters = sum(p.numel() for p in model.parameters()) / 1e6
        cells = " | ".join(f"{took:.1f}" for took in times[name])
        rows.append(f"| `{name}` | {parameters:.1f} M | {cells} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
