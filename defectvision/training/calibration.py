"""From the weights of a finished run to a bundle: calibrated, exported, with an operating point."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from defectvision import __version__
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import HISTORY_FILE, SEEN_FILE
from defectvision.bundle.writer import publish, write_about
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.answers import inspected
from defectvision.evaluation.calibration import fit_temperature
from defectvision.evaluation.operating_point import choose_mask_policy, choose_policy
from defectvision.evaluation.seen import image_digest
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import read_masks
from defectvision.models.prediction import Network
from defectvision.training import export
from defectvision.training.checkpoint import HISTORY
from defectvision.training.prediction import predict
from defectvision.training.task import TrainingTask


def make_bundle(task: TrainingTask, trained: Path, weights: Path, name: str) -> Inspector:
    """Put the bundle of a finished run, whose weights are the file `trained`, at
    `weights/<line>/<name>`; what serves it is returned.

    Temperature, policy and the thresholds of masks are those that the validation images suggest;
    masks as they are served, so these come last.
    """
    folder = weights / task.line.name
    fresh = folder / f"{name}.new"
    _write(task, trained, fresh, name)
    publish(fresh, folder, task.line, name)
    if task.recipe.masks:
        _tune_masks(task, weights, name)
    return Inspector(load_bundle(weights, task.line.name, name), task.images.limit_pixels)


def _write(task: TrainingTask, trained: Path, folder: Path, name: str) -> None:
    recipe = task.recipe
    model = task.trained_network(trained)
    export.to_half(model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    train, val = (
        predict(model, placed, recipe.batch_size, task.objective)
        for placed in (task.training, task.validation)
    )
    model.cpu()
    temperature = fit_temperature(val.logits, val.targets)
    write_whole(
        folder,
        model,
        task,
        name,
        temperature=temperature,
        policy=choose_policy(val.logits / temperature, val.targets, task.line),
        foreign=export.fit_foreign(train.embeddings, val.embeddings),
        history=trained.with_name(HISTORY),
    )


def write_whole(
    folder: Path,
    model: Network,
    task: TrainingTask,
    name: str,
    *,
    temperature: float,
    policy: Policy,
    foreign: export.ForeignFit,
    said: Mapping[str, Any] = MappingProxyType({}),
    files: Mapping[str, bytes] = MappingProxyType({}),
    history: Path | None = None,
    graph: onnx.ModelProto | None = None,
) -> None:
    """Write a bundle anew into `folder`, with what it learned from. said: more provenance; files:
    more of its files, by name; history: the run's file of epochs; graph: of the model, where it is
    exported already."""
    recipe, catalog = task.recipe, task.learned.catalog
    counts = catalog.table.groupby(["split", "label"]).size()
    used = catalog.table[catalog.table["split"] != "test"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digests = sorted({image_digest(catalog.root / path) for path in used["path"]})
    (folder / SEEN_FILE).write_text("\n".join(digests) + "\n", encoding="ascii")
    for file, content in files.items():
        (folder / file).write_bytes(content)
    if history is not None and history.is_file():
        shutil.copyfile(history, folder / HISTORY_FILE)
    export.write_bundle(
        folder,
        model,
        task,
        name,
        temperature=temperature,
        policy=policy,
        foreign=foreign,
        provenance={
            "data": catalog.name,
            "layout": catalog.layout,
            "sources": [source.model_dump() for source in recipe.sources],
            "images": {f"{split}/{label}": int(n) for (split, label), n in counts.items()},
            "photo_groups": int(catalog.table["photo_group"].nunique()),
            "recipe": recipe.model_dump(mode="json", exclude={"sources"}),
            "defectvision": __version__,
            **said,
        },
        graph=graph,
    )


def _tune_masks(task: TrainingTask, weights: Path, name: str) -> None:
    """Give the bundle's policy the mask thresholds and the smallest region that the served masks
    of the validation images suggest."""
    if task.recipe.masks is None:
        return
    loaded = load_bundle(weights, task.line.name, name)
    classes, val = loaded.bundle.mask_classes, task.validation.images
    answers = _with_truth(Inspector(loaded, val.limit_pixels), val, classes)
    policy = choose_mask_policy(loaded.bundle.policy, answers, classes, task.recipe.masks.aim)
    write_about(loaded.folder, loaded.bundle.model_copy(update={"policy": policy}))


def _with_truth(
    inspector: Inspector, images: ImageSet, classes: tuple[str, ...]
) -> Iterator[tuple[Inspection, NDArray[np.bool_]]]:
    """The inspection and the true masks (K, H, W) of each image that has both."""
    for row, answer in inspected(inspector, images):
        if isinstance(answer, ImageError):
            continue
        truth = read_masks(images, row, answer.image_size, classes)
        if truth is not None:
            yield answer, truth
