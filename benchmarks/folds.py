"""What networks reach on photographs they have not seen, and what more photographs would give.

    python -m benchmarks.folds ../shared/data/casting --recipes casting-resnet50 \
        --shares 0.25 0.5 1
    python -m benchmarks.folds ../shared/data/neu --recipes neu-surface-joint \
        --encoders efficientnet_lite0 resnet50

Each row is a recipe, with its encoder replaced where `--encoders` names others, by the recipe's
folds: whole photo groups joined with found near-copies, every image asked of a network that has not
learned from its group. `--shares` learns from fewer groups: of each label the same share, those of
a smaller share among those of a larger one, with as many steps. Teachers are left out. Masks are
counted at the input's size, at 0.5. Beside the AUC stands that without the images whose label is
outvoted within their photo group: of two labels of one picture one is wrong. Differences are from
the first row, paired by photo group. What was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.nn import functional

from defectvision.audit.study import study
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Measure
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.metrics import area_under, judge, measure, resample
from defectvision.evaluation.segmentation import PixelCounts, measure_masks
from defectvision.inference.labelled_images import readable
from defectvision.limits import PIXELS
from defectvision.models.prediction import Network
from defectvision.settings import ROOT, Settings
from defectvision.training.checkpoint import fold_folder
from defectvision.training.dataset import PlacedImages
from defectvision.training.division import outvoted
from defectvision.training.loop import train
from defectvision.training.new_line import line_for
from defectvision.training.prediction import predict
from defectvision.training.recipe import Recipe, load_recipe
from defectvision.training.task import TrainingTask

ENCODERS = ("efficientnet_lite0", "resnet50")
COUNTS = ("tp", "fp", "fn", "tn", "right")
Answers = dict[str, NDArray]


@dataclass(frozen=True)
class Row:
    """A network by folds, with `share` of the photo groups to learn from."""

    name: str
    recipe: Recipe
    share: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipes", nargs="+", required=True)
    parser.add_argument("--encoders", nargs="*", default=[], choices=ENCODERS)
    parser.add_argument("--shares", nargs="*", type=float, default=[1.0])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "folds")
    asked = parser.parse_args()
    images, line = opened(asked.data)
    rows = list(rows_of(asked.recipes, asked.encoders, asked.shares))
    found = []
    for row in rows:
        every = [
            fold_answers(task, fold_folder(run_of(asked.runs, asked.data, row), number))
            for number, task in enumerate(tasks(row, images, line))
        ]
        found.append({key: np.concatenate([one[key] for one in every]) for key in every[0]})
    print(table(rows, found, line))


def opened(data: Path) -> tuple[ImageSet, Line]:
    """The images of a set that can be read, near-copies joined, and a line of its classes."""
    found = study(data, Settings().cache, PIXELS)
    images = replace(found.image_set, catalog=found.grouped)
    images, _ = readable(images, masks=images.has_masks)
    with tempfile.TemporaryDirectory() as nowhere:
        return images, line_for(images.catalog, Path(nowhere) / "line", "none")


def rows_of(recipes: list[str], encoders: list[str], shares: list[float]) -> Iterator[Row]:
    """A row for each recipe, encoder and share."""
    for name in recipes:
        recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml")
        recipe = recipe.model_copy(update={"teacher": None, "tracking": "none"})
        own = next(one for one in ENCODERS if recipe.architecture.endswith(one))
        for encoder in encoders or [own]:
            architecture = recipe.architecture.replace(own, encoder)
            changed = recipe.model_copy(update={"architecture": architecture})
            for share in shares:
                yield Row(f"{name}, {encoder}", changed, share)


def run_of(runs: Path, data: Path, row: Row) -> Path:
    """Where the trainings of a row are kept."""
    return runs / data.name / f"{row.name} {row.share:g}".replace(", ", "-").replace(" ", "-")


def tasks(row: Row, images: ImageSet, line: Line) -> Iterator[TrainingTask]:
    """The folds of a row."""
    for task in TrainingTask.of(row.recipe, line, images).folds():
        yield replace(task, images=fewer(task.images, row.share))


def fewer(images: ImageSet, share: float) -> ImageSet:
    """The set with `share` of the photo groups to learn from, of each label at least one."""
    table, groups = images.catalog.table, images.catalog.groups()
    learned = (table["split"] == "train").to_numpy()
    kept: set[str] = set()
    for label in sorted(table["label"][learned].unique()):
        of_label = np.unique(groups[learned & (table["label"] == label).to_numpy()])
        order = np.random.default_rng(0).permutation(of_label)
        kept |= set(order[: math.ceil(share * len(order))].tolist())
    return images.take(np.flatnonzero(~learned | np.isin(groups, list(kept))))


def fold_answers(task: TrainingTask, run: Path) -> Answers:
    """What a network that learned from a task's images says of its test images: logits (N, C),
    targets (N,), groups (N,), and how many groups were learned from (N,); where it draws masks,
    their counted pixels as in `PixelCounts`."""
    done = run / "answers.npz"
    if not done.is_file():
        model = learned(task, run)
        test = task.images.subset("test")
        placed = PlacedImages(test, task.line, task.recipe.preprocessing, task.mask_classes)
        scores = predict(model, placed, task.recipe.batch_size, task.objective)
        groups = len(np.unique(task.learned.subset("train").catalog.groups()))
        counts = counted(model, placed) if task.mask_classes else None
        np.savez(
            done,
            logits=scores.logits,
            targets=scores.targets,
            groups=test.catalog.groups(),
            learned=np.full(len(placed), groups),
            **({name: getattr(counts, name) for name in COUNTS} if counts else {}),
        )
    with np.load(done) as kept:
        return dict(kept)


def learned(task: TrainingTask, run: Path) -> Network:
    """The network that a task trains, ready to answer."""
    model = task.trained_network(train(task, run)).eval()
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def counted(model: Network, placed: PlacedImages) -> PixelCounts:
    """The pixels of the masks that `model` draws on each image, at the input's size."""
    device = next(model.parameters()).device
    counts = []
    for number in range(len(placed)):
        example = placed[number]
        masks = model(example.image[None].to(device)).masks
        drawn = functional.interpolate(masks, size=example.image.shape[1:], mode="bilinear")[0] > 0
        counts.append(
            PixelCounts.of(drawn.cpu().numpy(), example.masks.numpy(), example.counts.numpy())
        )
    return PixelCounts.join(counts)


def probabilities_of(found: Answers) -> NDArray[np.floating]:
    """(N, C) of a line of one label, uncalibrated."""
    return softmax(found["logits"], axis=1)


def figures(found: Answers, line: Line) -> dict[str, Measure | None]:
    """Figures of labels with their intervals by photo group."""
    probabilities = probabilities_of(found)
    truth = [line.class_names[target] for target in found["targets"]]
    unobjected = np.ones(len(truth), bool)
    judged = judge(probabilities, unobjected, truth, found["groups"].tolist(), line, Policy())
    return measure(judged, probabilities, line)


def told(value: Measure | None) -> str:
    """A figure and its interval."""
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})" if value else "none"


def table(rows: list[Row], found: list[Answers], line: Line) -> str:
    """The rows in Markdown, with masks where they are drawn."""
    masks = "tp" in found[0]
    names = ["recipe and encoder", "share", "groups learned from", "AUC", "AUC, outvoted aside"]
    names += ["accuracy", "macro F1"]
    names += ["mean IoU"] if masks else []
    names += ["AUC more than the first", *(["IoU more than the first"] if masks else [])]
    lines = [f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
    for row, answers in zip(rows, found, strict=True):
        values = figures(answers, line)
        cells = [row.name, f"{row.share:g}", f"{answers['learned'].mean():.0f}"]
        cells += [told(values["auc"]), told(figures(_without_outvoted(answers), line)["auc"])]
        cells += [told(values[key]) for key in ("accuracy", "macro_f1")]
        if masks:
            cells.append(told(_mask_figures(answers, row, line)["mean_iou"]))
        cells.append("" if answers is found[0] else told(_gained(found[0], answers, line)))
        if masks:
            cells.append("" if answers is found[0] else told(_iou_gained(found[0], answers)))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _without_outvoted(found: Answers) -> Answers:
    """The answers less those to images whose photo group holds more images of another label."""
    kept = ~outvoted(pd.Series(found["groups"]), pd.Series(found["targets"])).to_numpy()
    return {name: values[kept] for name, values in found.items()}


def _mask_figures(found: Answers, row: Row, line: Line) -> dict[str, Measure | None]:
    counts = PixelCounts(*(found[name] for name in COUNTS))
    return measure_masks(counts, row.recipe.mask_classes(line), found["groups"].tolist())


def _gained(first: Answers, second: Answers, line: Line) -> Measure | None:
    """The second's AUC less the first's, of the same images in the same order."""
    assert np.array_equal(first["groups"], second["groups"])
    areas = [_areas(one, line) for one in (first, second)]

    def difference(weights: NDArray[np.float64]) -> float:
        return float(
            np.nanmean([area(weights) for area in areas[1]])
            - np.nanmean([area(weights) for area in areas[0]])
        )

    return resample({"auc": difference}, first["groups"].tolist())["auc"]


def _areas(found: Answers, line: Line) -> list:
    probabilities, targets = probabilities_of(found), found["targets"]
    if line.can_accept:
        good = np.isin(targets, [line.class_names.index(name) for name in line.good_names])
        bad = [line.class_names.index(name) for name in line.defect_names]
        return [area_under(~good, probabilities[:, bad].sum(1))]
    return [area_under(targets == c, probabilities[:, c]) for c in range(probabilities.shape[1])]


def _iou_gained(first: Answers, second: Answers) -> Measure | None:
    """The second's mean IoU less the first's."""

    def mean_iou(found: Answers, weights: NDArray[np.float64]) -> float:
        shown = (found["tp"] + found["fn"]) > 0
        tp, fp, fn = (
            (weights[:, None] * np.where(shown, found[n], 0)).sum(0) for n in ("tp", "fp", "fn")
        )
        with np.errstate(invalid="ignore"):
            return float(np.nanmean(tp / (tp + fp + fn)))

    def difference(weights: NDArray[np.float64]) -> float:
        return mean_iou(second, weights) - mean_iou(first, weights)

    return resample({"iou": difference}, first["groups"].tolist())["iou"]


if __name__ == "__main__":
    main()
