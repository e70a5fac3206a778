"""From a folder of labelled images to a working bundle."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress

from defectvision import atomic
from defectvision.bundle.line import Line
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import Metrics
from defectvision.bundle.words import metric_words
from defectvision.bundle.writer import (
    publish,
    record_calibration,
    record_fingerprints,
    record_gate,
    record_metrics,
)
from defectvision.data.catalog import Catalog
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.evaluate import Evaluation, ask, measured
from defectvision.evaluation.gate import GateError, check_enough, file_of, measure_gate
from defectvision.evaluation.gate_images import sights
from defectvision.evaluation.recalibration import recalibrated
from defectvision.evaluation.seen import make_fingerprints
from defectvision.inference.image_error import ImageError
from defectvision.inference.inspector import Inspector
from defectvision.inference.labelled_images import left_out, readable
from defectvision.training.calibration import make_bundle
from defectvision.training.caution import caution
from defectvision.training.checkpoint import fold_folder
from defectvision.training.fitting import fitted, shrunk
from defectvision.training.frozen import HeadTraining
from defectvision.training.good_parts import learn_good_parts
from defectvision.training.loop import processes, train
from defectvision.training.new_line import good_parts_line_for, line_for, named_parts_line_for
from defectvision.training.progress import (
    PROGRESS_FILE,
    RESULT_FILE,
    Tell,
    known_names,
    write_progress,
)
from defectvision.training.recipe import Recipe, RecipeError, load_recipe
from defectvision.training.task import TrainingTask
from defectvision.words import counted

log = logging.getLogger(__name__)
Learn = Callable[[TrainingTask, Path], Path]  # from a task and its run to the file of the weights
TOLD = ("escapes", "overkills", "reviews", "macro_f1", "mean_iou")  # of a training's figures
GOOD_FOLDS = "each good part by a memory that holds neither it nor a near-copy of it"
NAMED_FOLDS = (
    "each part by a memory that holds neither it nor a near-copy of it and a head that has learned "
    "from neither"
)
SUSPECT = "lies far from the other good parts, so it was not learned from. Is it good?"


def train_line(
    images: ImageSet,
    recipe: Recipe,
    recipe_text: str,
    line_name: str,
    bundle_name: str,
    weights: Path,
    run: Path,
    foreign: Sequence[ImageSet] = (),
) -> Evaluation | None:
    """Train `recipe` on `images` and put the finished bundle at `weights/<line>/<bundle>`. Of
    several processes (torchrun, `accelerate launch`) the first one does all but the learning by
    itself, and the others return None.

    Images that cannot be read are left out, each named in the log and among the failures of the
    evaluation that is returned: the served bundle's on the test split, or on all images by folds.
    foreign: images of anything else, which teach and try the gate beside drawings.
    `run` keeps checkpoints, so that the same call goes on after a kill. Raises what
    `TrainingTask.of` does before anything is written.
    """
    is_first = processes().is_main_process
    if not is_first and (recipe.memory or recipe.frozen):
        return None  # one look at each image is not shared
    if recipe.memory:
        return _remember_line(
            images, recipe, recipe_text, line_name, bundle_name, weights, run, foreign
        )
    images, damaged = readable(images, masks=recipe.masks is not None)
    unread: list[ImageError] = []
    line = line_for(images.catalog, weights / line_name, bundle_name, images.bits)
    task = TrainingTask.of(recipe, line, images)
    learn = HeadTraining().train if recipe.frozen else train
    if not is_first:
        for number, fold in enumerate(task.folds()):
            train(fold, fold_folder(run, number))
        train(task, run)
        return None
    _claim(run, recipe, recipe_text)
    _claim_images(run, task.images.catalog)
    answers = [
        _ask_fold(fold, learn, bundle_name, fold_folder(run, number), run / "folds")
        for number, fold in enumerate(task.folds())
    ]
    trained = learn(task, run)
    split = (
        f"{len(answers)}-fold cross-validation, each image by a model of this recipe that has not "
        "seen its photo group"
    )
    with _making(weights, line, bundle_name) as made:
        _tell(run, "making the bundle")
        inspector = make_bundle(task, trained, made, bundle_name)
        _calibrate(inspector, task, answers)
        _tell(run, "measuring the gate")
        inspector = _finished(inspector, task, foreign, unread.append)
        if not answers:
            _tell(run, "measuring on images held out")
            split, test = "test split, photo groups held out", task.images.subset("test")
            with Progress(console=Console(stderr=True)) as progress:
                bar = progress.add_task("evaluating on test", total=len(test.catalog))
                answers = [ask(inspector, test, advance=lambda: progress.advance(bar))]
        evaluation = measured(answers, split=split)
        record_metrics(inspector.loaded.folder, evaluation.metrics)
    evaluation = replace(evaluation, failures=(*damaged, *unread, *evaluation.failures))
    said = {
        "line": line_name,
        "bundle": bundle_name,
        "images": len(task.images.catalog),
        "parts": len(np.unique(task.images.catalog.groups())),
        "promise": in_words(evaluation.metrics),
        "left_out": [str(failure) for failure in evaluation.failures],
    }
    atomic.write_text(run / RESULT_FILE, json.dumps(said))
    return evaluation


def _remember_line(
    images: ImageSet,
    recipe: Recipe,
    recipe_text: str,
    line_name: str,
    bundle_name: str,
    weights: Path,
    run: Path,
    foreign: Sequence[ImageSet],
) -> Evaluation:
    """As `train_line`, from good parts alone. What it rests on is written to `run`/result.json."""
    with Progress(console=Console(stderr=True)) as bars:
        tell = Tell(run, bars)
        run.mkdir(parents=True, exist_ok=True)
        with tell.step("reading the images", 0):
            images, damaged = readable(images, masks=False)
        folder, unread = weights / line_name, list[ImageError]()
        names = recipe.memory is not None and recipe.memory.names
        line_of = named_parts_line_for if names else good_parts_line_for
        line = line_of(images.catalog, folder, bundle_name, images.bits)
        _claim(run, recipe, recipe_text)
        task = TrainingTask.of(fitted(recipe, images), line, images)
        task.images.catalog.write_index(run / "index.csv")
        with _making(weights, line, bundle_name) as made:
            inspector, answers, learned = learn_good_parts(
                task, made, bundle_name, tell, known_names(run)
            )
            with tell.step("measuring the gate", 0):
                _finished(inspector, task, foreign, unread.append)
            evaluation = measured(answers, split=NAMED_FOLDS if names else GOOD_FOLDS)
            told = caution(learned, evaluation.metrics, shrunk(task.recipe, images))
            record_metrics(inspector.loaded.folder, evaluation.metrics, told)
    failures = (*damaged, *unread, *evaluation.failures)
    said = {
        "line": line_name,
        "bundle": bundle_name,
        "images": len(task.training),
        "parts": len(np.unique(task.training.images.catalog.groups())),
        "promise": f"{learned.words} {learned.names}".rstrip(),
        "suspects": [{"path": path, "words": SUSPECT} for path in learned.suspects],
        "left_out": [str(failure) for failure in failures],
    }
    atomic.write_text(run / RESULT_FILE, json.dumps(said))
    return replace(evaluation, failures=failures)


@contextmanager
def _making(weights: Path, line: Line, name: str) -> Iterator[Path]:
    """A folder for weights in which a bundle lies until it is measured: nobody is served by half of
    one, be it after a kill."""
    made = weights / f".making-{line.name}-{name}"
    shutil.rmtree(made, ignore_errors=True)
    try:
        yield made
        publish(made / line.name / name, weights / line.name, line, name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _tell(run: Path, step: str) -> None:
    """Let others know what is done now, though nobody knows how long it takes."""
    write_progress(run / PROGRESS_FILE, step, 0, 0, None)


def in_words(metrics: Metrics) -> str:
    """ "Measured on 48 images of 40 parts that it did not learn from: escapes 0.0 % (0.0 to 7.3
    %)", and the other figures of TOLD."""
    told = []
    for name in TOLD:
        found = metrics.values.get(name)
        if found is None or found.value is None:
            continue
        title = metric_words(name).title
        words = f"{title[0].lower()}{title[1:]} {100 * found.value:.1f} %"
        if found.low is not None and found.high is not None:
            words += f" ({100 * found.low:.1f} to {100 * found.high:.1f} %)"
        told.append(words)
    return (
        f"Measured on {counted(metrics.images, 'image')} of {counted(metrics.groups, 'part')} that "
        f"it did not learn from: {', '.join(told)}. Intervals are 95 %."
    )


def _calibrate(inspector: Inspector, task: TrainingTask, folds: Sequence[Answers]) -> None:
    """Give the bundle the curves that images held out support: those of all folds, each answered
    by a model that has not seen it, or the validation images."""
    held_out = folds or [ask(inspector, task.validation.images)]
    images = counted(sum(len(one.rows) for one in held_out), "image")
    told = "answered in folds" if folds else "of the validation split"
    made = recalibrated(inspector.loaded, held_out, f"{images} {told}")
    if made is not None:
        record_calibration(inspector.loaded.folder, made)


def _finished(
    inspector: Inspector,
    task: TrainingTask,
    foreign: Sequence[ImageSet],
    refuse: Callable[[ImageError], None],
) -> Inspector:
    """The bundle with fingerprints of the images that it learned from, and with its gate. refuse:
    gets what is wrong with each foreign image that cannot be read."""
    loaded, learned = inspector.loaded, task.learned
    used = learned.take(np.flatnonzero(learned.catalog.table["split"] != "test"))
    record_fingerprints(loaded.folder, make_fingerprints(used).content())
    _measure_gate(inspector, learned, foreign, refuse)
    again = load_bundle(loaded.folder.parents[1], loaded.line.name, loaded.bundle.name)
    return Inspector(again, inspector.limit_pixels, inspector.runtime)


def _measure_gate(
    inspector: Inspector,
    learned: ImageSet,
    foreign: Sequence[ImageSet],
    refuse: Callable[[ImageError], None],
) -> None:
    """Give the bundle a gate that its training images, drawings and foreign images teach and its
    validation images limit; none where those are too few."""
    if not (learned.catalog.table["split"] == "val").any():
        log.warning("no gate: no images of the line are left to set its limits by")
        return
    unseen = learned.subset("val")
    try:
        check_enough(inspector.line.name, len(unseen.catalog))
        for images in foreign:
            for error in left_out(images):
                refuse(error)
        taught = learned.subset("train")
        found = list(sights(inspector, taught, [unseen], foreign, refuse=refuse))
        made = measure_gate(
            inspector.gatekeeper, found, f"{len(unseen.catalog)} of the validation split"
        )
    except GateError as error:
        log.warning("no gate: %s", error)
        return
    record_gate(inspector.loaded.folder, made.gate, file_of(made.arrays))


def _ask_fold(task: TrainingTask, learn: Learn, name: str, run: Path, weights: Path) -> Answers:
    """Train on all of a fold but its test images, and ask the served model about those."""
    inspector = make_bundle(task, learn(task, run), weights, name)
    return ask(inspector, task.images.subset("test"))


def _claim(run: Path, recipe: Recipe, recipe_text: str) -> None:
    """Note the recipe in `run`; refuse a run that was begun with another one."""
    noted = run / "recipe.yaml"
    if noted.is_file() and load_recipe(noted) != recipe:
        raise RecipeError(
            f"{noted}: this run was begun with another recipe. Name a new folder with --run, "
            "or remove this one to start again"
        )
    atomic.write_text(noted, recipe_text)


def _claim_images(run: Path, catalog: Catalog) -> None:
    """Note the images in `run`; refuse a run that was begun with others, which would measure it."""
    noted, content = run / "index.csv", catalog.index_csv()
    if noted.is_file() and noted.read_bytes() != content:
        raise RecipeError(
            f"{noted}: this run was begun with other images, labels or parts. Name a new folder "
            "with --run, or remove this one to start again"
        )
    atomic.write_bytes(noted, content)
