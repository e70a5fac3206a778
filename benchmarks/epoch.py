"""How long an epoch of a training takes, of which how much is learning and how much following.

    python -m benchmarks.epoch casting-resnet50 ../shared/data/casting
    python -m benchmarks.epoch magnetic-tile-joint ../shared/data/magnetic_tile

Learns from `--samples` images as the recipe says and asks the network about its validation images;
pictures are decoded before. CPU seconds change less with other work on the machine than seconds do.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.folds import opened
from defectvision.settings import ROOT
from defectvision.training.checkpoint import HISTORY
from defectvision.training.loop import train
from defectvision.training.recipe import load_recipe
from defectvision.training.task import TrainingTask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("--samples", type=int, default=320)
    asked = parser.parse_args()
    recipe = load_recipe(ROOT / "recipes" / f"{asked.recipe}.yaml")
    usual = recipe.samples_per_epoch
    one = {"teacher": None, "tracking": "none", "epochs": 1, "samples_per_epoch": asked.samples}
    labelled, line = opened(asked.data)
    task = TrainingTask.of(recipe.model_copy(update=one), line, labelled)
    task.training.keep()
    task.validation.keep()
    with tempfile.TemporaryDirectory() as run:
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        train(task, Path(run))
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
        learning = json.loads((Path(run) / HISTORY).read_text())["seconds"]
    each, rest = learning / asked.samples, seconds - learning
    images = usual or len(task.training)
    user, system = (getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    print(
        f"learning {1e3 * each:.0f} ms an image; following {len(task.validation)} images, with the "
        f"rest, {rest:.1f} s; an epoch of {images} images {each * images + rest:.0f} s; CPU "
        f"{user:.0f} s, of the system {system:.0f} s"
    )


if __name__ == "__main__":
    main()
