"""The reference recipe as it stands, measured on images split at random and on whole photo groups.

    python -m benchmarks.reference ../shared/data/casting ../shared/data/neu

Published figures of these sets rest on splits by image, which leave other pictures of the same
photograph on both sides. Each set is cut in five parts, once by image at random and once by photo
group joined with found near-copies; of each cut, a ResNet50 of `recipes/reference-resnet50.yaml`
learns from three parts, is followed on the fourth and measured on the fifth, as many times as
`--folds` says. Both are measured alike, with intervals by photo group, and the table goes to
docs/reference-recipe.md. A run that was broken off goes on where it was.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.folds import figures, learned, opened, told
from defectvision.bundle.line import Line
from defectvision.data.image_set import ImageSet
from defectvision.settings import ROOT
from defectvision.training.checkpoint import fold_folder
from defectvision.training.dataset import PlacedImages
from defectvision.training.prediction import predict
from defectvision.training.recipe import Recipe, Split, load_recipe
from defectvision.training.task import TrainingTask

RECIPE = "reference-resnet50"
FOLDS = 5
SPLITS = {"by image": False, "by photo group": True}
MARK = "<!-- written by benchmarks/reference.py -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--folds", type=int, default=2, help=f"that are measured, of {FOLDS}")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "reference")
    asked = parser.parse_args()
    recipe = load_recipe(ROOT / "recipes" / f"{RECIPE}.yaml")
    recipe = recipe.model_copy(update={"split": Split(folds=FOLDS), "tracking": "none"})
    sets = {data.name: opened(data) for data in asked.data}
    for number in range(asked.folds):  # all sets in turn: what is there early can be compared
        for name, (images, line) in sets.items():
            for split, whole in SPLITS.items():
                _answers(recipe, images, line, whole, number, asked.runs / f"{name} {split}")
    rows = ["| set | split | images | photographs also learned from | AUC | accuracy | macro F1 |",
            "| --- | --- | ---: | ---: | --- | --- | --- |"]  # fmt: skip
    for name, (images, line) in sets.items():
        for split, whole in SPLITS.items():
            run = asked.runs / f"{name} {split}"
            found = [
                _answers(recipe, images, line, whole, number, run) for number in range(asked.folds)
            ]
            joined = {key: np.concatenate([one[key] for one in found]) for key in found[0]}
            rows.append(_row(name, split, line, joined))
    table = "\n".join(rows)
    print(table)
    document = ROOT / "docs" / "reference-recipe.md"
    head = document.read_text(encoding="utf-8").partition(MARK)[0]
    document.write_text(f"{head}{MARK}\n\n{table}\n", encoding="utf-8")


def _answers(
    recipe: Recipe, images: ImageSet, line: Line, whole: bool, number: int, run: Path
) -> dict[str, NDArray]:
    """What the model of fold `number` says of its test images: logits (N, C), targets (N,), groups
    (N,), and whether another image of its group was learned from (N,)."""
    run = fold_folder(run, number)
    done = run / "answers.npz"
    if not done.is_file():
        catalog = images.catalog
        groups = catalog.groups()
        if not whole:
            own = catalog.table.assign(photo_group=np.arange(len(catalog)).astype(str))
            images = replace(images, catalog=replace(catalog, table=own))
        task = list(TrainingTask.of(recipe, line, images).folds())[number]
        model = learned(task, run)
        test = task.images.subset("test")
        placed = PlacedImages(test, line, recipe.preprocessing, ())
        scores = predict(model, placed, recipe.batch_size, task.objective)
        split = task.images.catalog.table["split"]
        rows = np.flatnonzero(split == "test")
        np.savez(
            done,
            logits=scores.logits,
            targets=scores.targets,
            groups=groups[rows],
            known=np.isin(groups[rows], groups[split == "train"]),
        )
    with np.load(done) as kept:
        return dict(kept)


def _row(name: str, split: str, line: Line, found: dict[str, NDArray]) -> str:
    values = figures(found, line)
    cells = [told(values[key]) for key in ("auc", "accuracy", "macro_f1")]
    known = f"{100 * found['known'].mean():.0f} %"
    return f"| {name} | {split} | {len(found['targets']):,} | {known} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
