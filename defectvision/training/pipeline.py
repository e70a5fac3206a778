"""From a folder of labelled images to a working bundle."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress
from safetensors.torch import load_file

from defectvision import __version__
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.splits import assert_no_leak, split_catalog
from defectvision.evaluation.calibration import fit_temperature
from defectvision.evaluation.evaluate import SEEN_FILE, evaluate, image_digest, single_labels
from defectvision.evaluation.operating_point import choose_policy
from defectvision.inference.bundle import Bundle, DefectClass, Line, Metrics, load_bundle, read_line
from defectvision.inference.inspector import Inspector
from defectvision.inference.policy import Policy
from defectvision.training import export
from defectvision.training.card import write_card
from defectvision.training.dataset import PlacedImages, without_contradictions
from defectvision.training.loop import build, predict, train
from defectvision.training.recipe import Recipe, RecipeError, load_recipe

log = logging.getLogger(__name__)
GOOD_NAMES = {"ok", "good", "free", "normal", "no_defect"}
GOOD_COLOUR = "#4C9A6A"
# Okabe and Ito's colours, told apart by colour-blind eyes (https://jfly.uni-koeln.de/color/).
DEFECT_COLOURS = ("#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#009E73", "#8C8C8C")


def train_line(
    catalog: Catalog,
    recipe: Recipe,
    recipe_text: str,
    line_name: str,
    bundle_name: str,
    weights: Path,
    run: Path,
) -> Metrics:
    """Train `recipe` on `catalog` and put the finished bundle at `weights/<line>/<bundle>`.

    The catalog's own train, val and test splits are used where it has all three and no photo
    group is on two sides; else it is split as the recipe says. `run` keeps checkpoints, so that
    the same call goes on after a kill. Returns the metrics of the served bundle on the test
    split. Raises CatalogError where the images cannot be learned from.
    """
    catalog = single_labels(catalog)
    line = line_for(catalog, weights / line_name, bundle_name)
    catalog = prepare_split(catalog, recipe)
    training = catalog.subset("train")
    settled = without_contradictions(training)
    if len(settled) < len(training):
        log.warning(
            "%d training images left out: their label is outvoted within their photo group",
            len(training) - len(settled),
        )
    rest = catalog.table[catalog.table["split"] != "train"]
    learned = replace(catalog, table=pd.concat([settled.table, rest], ignore_index=True))
    _claim(run, recipe, recipe_text)
    catalog.write_index(run / "index.csv")
    file = train(recipe, learned, line.class_names, run)

    fresh = weights / line_name / (bundle_name + ".new")
    _write(fresh, file, recipe, line, bundle_name, learned)
    return measure_and_publish(fresh, weights / line_name, line, bundle_name, catalog)


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
    """The catalog with train, val and test; its own splits where they are whole."""
    if set(catalog.table["split"]) != {"train", "val", "test"}:
        share = recipe.split
        fractions = {"train": share.train, "val": share.val, "test": share.test}
        catalog = split_catalog(catalog, fractions, share.seed)
    assert_no_leak(catalog)
    for warning in catalog.warnings:
        log.warning(warning)
    return catalog


def line_for(catalog: Catalog, folder: Path, bundle_name: str) -> Line:
    """The line in `folder`, or a new one with the catalog's classes, the good ones first."""
    names = catalog.classes
    if (folder / "line.json").is_file():
        line = read_line(folder)
        if set(line.class_names) != set(names):
            raise CatalogError(
                f"{catalog.root}: has classes {', '.join(names)}, but line '{line.name}' has "
                f"{', '.join(line.class_names)}. Choose another line name with --line"
            )
        return line
    if len(names) < 2:
        raise CatalogError(
            f"{catalog.root}: has only the class {', '.join(names) or '(none)'}; "
            "a line needs two or more. Add a folder of images of another class"
        )
    good = [name for name in names if name.lower() in GOOD_NAMES]
    defects = [name for name in names if name not in good]
    colours = [GOOD_COLOUR] * len(good) + [
        DEFECT_COLOURS[i % len(DEFECT_COLOURS)] for i in range(len(defects))
    ]
    return Line(
        name=folder.name,
        title=_title(folder.name),
        classes=tuple(
            DefectClass(name=n, title=_title(n), kind="ok" if n in good else "defect", colour=c)
            for n, c in zip([*good, *defects], colours, strict=True)
        ),
        default_bundle=bundle_name,
    )


def _write(
    folder: Path, file: Path, recipe: Recipe, line: Line, name: str, catalog: Catalog
) -> Bundle:
    """Calibrate on `val` and export."""
    model = build(recipe, len(line.classes))
    model.load_state_dict(load_file(file))
    export.to_half(model)
    sets = {
        split: PlacedImages(catalog.subset(split), line.class_names, recipe.preprocessing)
        for split in ("train", "val")
    }
    scores = {split: predict(model, images, recipe.batch_size) for split, images in sets.items()}
    val = scores["val"]
    temperature = fit_temperature(val.logits, val.targets)
    probabilities = torch.from_numpy(val.logits / temperature).softmax(1).numpy()
    good = [i for i, c in enumerate(line.classes) if c.kind == "ok"]
    policy = Policy()
    if good:
        policy = choose_policy(1 - probabilities[:, good].sum(1), np.isin(val.targets, good))
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


def measure_and_publish(
    fresh: Path, line_folder: Path, line: Line, name: str, catalog: Catalog
) -> Metrics:
    """Evaluate the exported bundle on `test`, add metrics and card, and move it into place."""
    line_folder.mkdir(parents=True, exist_ok=True)
    folder = line_folder / name
    export.move_into_place(fresh, folder)
    if not (line_folder / "line.json").is_file():
        export.write_json(line_folder / "line.json", line.model_dump(mode="json"))
    inspector = Inspector(load_bundle(line_folder.parent, line.name, name))
    test = catalog.subset("test")
    with Progress() as progress:
        task = progress.add_task("evaluating on test", total=len(test))
        metrics = evaluate(
            inspector,
            test,
            split="test split, photo groups held out",
            advance=lambda: progress.advance(task),
        ).metrics
    record_metrics(folder, metrics)
    return metrics


def record_metrics(folder: Path, metrics: Metrics) -> None:
    """Add `metrics` to bundle.json, replacing those of the same split and data, and renew the
    model card. Figures of images that the bundle has not seen come first."""
    bundle = Bundle.model_validate_json((folder / "bundle.json").read_bytes())
    kept = [m for m in bundle.metrics if (m.split, m.data) != (metrics.split, metrics.data)]
    ordered = sorted((*kept, metrics), key=lambda m: m.seen)
    bundle = bundle.model_copy(update={"metrics": tuple(ordered)})
    export.write_json(folder / "bundle.json", bundle.model_dump(mode="json"))
    write_card(folder, bundle)


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().capitalize()
