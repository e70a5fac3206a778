"""From a folder of labelled images to a working bundle."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.progress import Progress
from safetensors.torch import load_file

from defectvision import __version__
from defectvision.bundle.line import Line
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import SEEN_FILE, Bundle, Metrics
from defectvision.bundle.writer import publish, record_metrics, write_about
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.image_set import ImageSet
from defectvision.data.splits import assert_no_leak, split_catalog
from defectvision.evaluation.calibration import fit_temperature
from defectvision.evaluation.evaluate import Answers, ask, image_digest, labelled, measured
from defectvision.evaluation.operating_point import MaskAim, choose_mask_policy, choose_policy
from defectvision.inference.inspector import Inspector
from defectvision.training import export
from defectvision.training.dataset import PlacedImages, without_contradictions
from defectvision.training.folds import fold_of, fold_splits
from defectvision.training.loop import build, masked_classes, predict, train
from defectvision.training.new_line import line_for
from defectvision.training.objective import Objective
from defectvision.training.recipe import Recipe, RecipeError, load_recipe

log = logging.getLogger(__name__)


def train_line(
    images: ImageSet,
    recipe: Recipe,
    recipe_text: str,
    line_name: str,
    bundle_name: str,
    weights: Path,
    run: Path,
) -> Metrics:
    """Train `recipe` on `images` and put the finished bundle at `weights/<line>/<bundle>`.

    The catalog's own train, val and test splits are used where it has all three and no photo
    group is on two sides; else it is split as the recipe says. `run` keeps checkpoints, so that
    the same call goes on after a kill. Returns the metrics of the served bundle on the test
    split. Raises CatalogError where the images cannot be learned from.
    """
    line = line_for(images.catalog, weights / line_name, bundle_name)
    masked_classes(recipe, line)  # refuses a wrong name before anything is written
    images = replace(images, catalog=labelled(images.catalog, line))
    if recipe.masks and not images.has_masks:
        raise CatalogError(
            f"{images.catalog.root}: has no masks, and the recipe learns them. Name them in the "
            "mask column of index.csv, or take `masks` out of the recipe"
        )
    images = replace(images, catalog=prepare_split(images.catalog, recipe))
    catalog = images.catalog
    _claim(run, recipe, recipe_text)
    catalog.write_index(run / "index.csv")
    scratch = run / "folds"
    answers = [
        _ask_fold(fold, recipe, line, bundle_name, run / f"fold-{i}", scratch)
        for i, fold in enumerate(fold_splits(images, recipe.split))
    ]
    learned = _settled(images, line)
    file = train(recipe, learned, line, run)
    fresh = weights / line_name / (bundle_name + ".new")
    _write(fresh, file, recipe, line, bundle_name, learned)
    publish(fresh, weights / line_name, line, bundle_name)
    if recipe.masks:
        _tune_masks(weights, line_name, bundle_name, learned.subset("val"), recipe.masks.aim)
    if answers:
        asked = (
            f"{len(answers)}-fold cross-validation, each image by a model of this recipe "
            "that has not seen its photo group"
        )
    else:
        asked, test = "test split, photo groups held out", images.subset("test")
        inspector = Inspector(load_bundle(weights, line_name, bundle_name), images.limit_pixels)
        with Progress() as progress:
            task = progress.add_task("evaluating on test", total=len(test.catalog))
            answers = [ask(inspector, test, advance=lambda: progress.advance(task))]
    metrics = measured(answers, split=asked).metrics
    record_metrics(weights / line_name / bundle_name, metrics)
    return metrics


def _settled(images: ImageSet, line: Line) -> ImageSet:
    """The set less the training images that contradict their photo group."""
    if line.label_mode == "multilabel":
        return images
    training = images.subset("train")
    settled = without_contradictions(training)
    if dropped := len(training.catalog) - len(settled.catalog):
        log.warning(
            "%d training images left out: their label is outvoted within their photo group",
            dropped,
        )
    table = images.catalog.table
    kept = table["path"].isin(settled.catalog.table["path"]) | (table["split"] != "train")
    return images.take(np.flatnonzero(kept))


def _ask_fold(
    fold: ImageSet, recipe: Recipe, line: Line, name: str, run: Path, weights: Path
) -> Answers:
    """Train on all of a fold but its test images, and ask the served model about those."""
    learned = _settled(fold, line)
    file = train(recipe, learned, line, run)
    _write(weights / line.name / f"{name}.new", file, recipe, line, name, learned)
    publish(weights / line.name / f"{name}.new", weights / line.name, line, name)
    if recipe.masks:
        _tune_masks(weights, line.name, name, learned.subset("val"), recipe.masks.aim)
    return ask(
        Inspector(load_bundle(weights, line.name, name), fold.limit_pixels), fold.subset("test")
    )


def _claim(run: Path, recipe: Recipe, recipe_text: str) -> None:
    """Note the recipe in `run`; refuse a run that was begun with another one."""
    noted = run / "recipe.yaml"
    if noted.is_file() and load_recipe(noted) != recipe:
        raise RecipeError(
            f"{noted}: this run was begun with another recipe. Name a new folder with --run, "
            "or remove this one to start again"
        )
    run.mkdir(parents=True, exist_ok=True)
    noted.write_text(recipe_text, encoding="utf-8")


def prepare_split(catalog: Catalog, recipe: Recipe) -> Catalog:
    """The catalog with train, val and test; its own splits where they are whole. With folds there
    is no test split: the last fold calibrates, all others are learned from."""
    if recipe.split.folds:
        part = fold_of(catalog, recipe.split)
        named = np.where(part == part.max(), "val", "train")
        catalog = replace(catalog, table=catalog.table.assign(split=pd.Series(named, dtype="str")))
    elif set(catalog.table["split"]) != {"train", "val", "test"}:
        share = recipe.split
        fractions = {"train": share.train, "val": share.val, "test": share.test}
        catalog = split_catalog(catalog, fractions, share.seed)
    assert_no_leak(catalog)
    for warning in catalog.warnings:
        log.warning(warning)
    return catalog


def _write(
    folder: Path, file: Path, recipe: Recipe, line: Line, name: str, images: ImageSet
) -> Bundle:
    """Calibrate on `val` and export."""
    catalog = images.catalog
    model = build(recipe, line)
    model.load_state_dict(load_file(file))
    export.to_half(model)
    masked = masked_classes(recipe, line)
    sets = {
        split: PlacedImages(images.subset(split), line, recipe.preprocessing, masked=masked)
        for split in ("train", "val")
    }
    objective = Objective(recipe, line, sets["train"])
    scores = {s: predict(model, part, recipe.batch_size, objective) for s, part in sets.items()}
    val = scores["val"]
    temperature = fit_temperature(val.logits, val.targets)
    policy = choose_policy(val.logits / temperature, val.targets, line)
    counts = catalog.table.groupby(["split", "label"]).size()
    used = catalog.table[catalog.table["split"] != "test"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    digests = sorted({image_digest(catalog.root / path) for path in used["path"]})
    (folder / SEEN_FILE).write_text("\n".join(digests) + "\n", encoding="ascii")
    return export.write_bundle(
        folder,
        model,
        recipe,
        line,
        name,
        temperature=temperature,
        policy=policy,
        foreign=export.fit_foreign(scores["train"].embeddings, val.embeddings),
        provenance={
            "data": catalog.name,
            "layout": catalog.layout,
            "sources": [source.model_dump() for source in recipe.sources],
            "images": {f"{split}/{label}": int(n) for (split, label), n in counts.items()},
            "photo_groups": int(catalog.table["photo_group"].nunique()),
            "recipe": recipe.model_dump(mode="json", exclude={"sources"}),
            "defectvision": __version__,
        },
    )


def _tune_masks(weights: Path, line: str, name: str, val: ImageSet, aim: MaskAim) -> None:
    """Give the bundle's policy the mask thresholds and the smallest region that the served masks
    of `val` suggest."""
    loaded = load_bundle(weights, line, name)
    classes = loaded.bundle.mask_classes
    paths = [val.catalog.image_path(row) for row in range(len(val.catalog))]
    found = Inspector(loaded, val.limit_pixels).inspect_many(
        (path.name, path.read_bytes()) for path in paths
    )
    answers = (
        (inspection, truth)
        for row, inspection in enumerate(found)
        if (truth := val.class_masks(row, inspection.image_size, classes)) is not None
    )
    policy = choose_mask_policy(loaded.bundle.policy, answers, classes, aim)
    bundle = loaded.bundle.model_copy(update={"policy": policy})
    write_about(loaded.folder, bundle)
