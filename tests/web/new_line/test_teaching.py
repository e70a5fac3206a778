"""A bundle from a labelled set: what is written for the program, and what is refused in words."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from sqlalchemy import select

from defectvision.bundle.line import DefectClass
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.tables import AuditRow
from defectvision.training.new_line import line_for
from defectvision.training.recipe import load_recipe
from defectvision.web.label.teaching import (
    EFFORTS,
    FINE,
    LABELS,
    LEAST_SEEN,
    MASKS,
    QUICK,
    recipe_of,
    side_of,
)
from defectvision.web.new_line import training
from defectvision.web.new_line.runs import Run, new_run
from defectvision.web.new_line.training import TrainingError, start_teaching
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.stores import new_store

ADA = unproven("ada")
CLASSES = [
    DefectClass(name="fine", title="Fine part", kind="ok", colour="#00aa00"),
    DefectClass(name="crack", title="Hair crack", kind="defect", colour="#aa0000"),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A set of seven fine and six cracked parts, one of each held back."""
    made = new_store(tmp_path)
    with made.session() as session:
        labelling.new_set(session, "Steel caps", "steel-caps", CLASSES, "multiclass", ADA)
    rng = np.random.default_rng(0)
    for i in range(13):
        data = cv2.imencode(".png", rng.integers(0, 255, (40, 40)).astype(np.uint8))[1].tobytes()
        labelling.add_images(made, 1, [labelling.Given(f"{i}.png", data)], PIXELS, ADA)
        labelling.say(made, i + 1, ["crack" if i % 2 else "fine"], {}, ADA)
    with made.session() as session:
        assert labelling.hold_back(session, 1, ADA, 0.15) == 2
    return made


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of the programs that were started; none is."""
    words: list[list[str]] = []

    def started(run, order, weights, lock):
        recipe = training.RECIPE if order.labelled_set is None else run.recipe.absolute()
        words.append([str(run.data), str(recipe), order.line, order.bundle])
        raise TrainingError("not in this test")

    monkeypatch.setattr(training, "_started", started)
    return words


def teach(store: Store, run: Run, weights: Path, bundle: str = "first") -> None:
    start_teaching(store, run, 1, bundle, "architecture: unet\n", weights, ADA)


def test_the_program_gets_what_is_labelled_and_not_held_back(store, begun, tmp_path) -> None:
    run = new_run(tmp_path / "runs")
    with pytest.raises(TrainingError, match="not in this test"):
        teach(store, run, tmp_path)
    assert begun == [[str(run.learned), str(run.recipe), "steel-caps", "first"]]
    assert run.recipe.read_text() == "architecture: unet\n"
    learned, held = open_set(run.learned, PIXELS), open_set(run.held, PIXELS)
    assert (len(learned.catalog), len(held.catalog)) == (11, 2)
    line = line_for(learned.catalog, tmp_path / "steel-caps", "first")
    assert line.classes == tuple(CLASSES) and line.default_bundle == "first"
    with store.reading() as session:
        told = session.scalars(select(AuditRow).where(AuditRow.what == "training started")).one()
    assert (told.details["images"], told.details["held_back"]) == (11, 2)


def test_what_is_learned_now_is_found(tmp_path) -> None:
    run = new_run(tmp_path / "runs")
    assert run.learning() is None
    for at, name in enumerate(("fold-0", "fold-1")):
        (run.work / name).mkdir(parents=True)
        (run.work / name / "metrics.jsonl").write_text('{"epoch": 1, "val_loss": 0.5}\n')
        os.utime(run.work / name / "metrics.jsonl", (at, at))
    folder = run.learning()
    assert folder == run.work / "fold-1" and run.snapshots(folder) == ()
    shown = {"name": "a", "truth": "Good", "said": "Crack", "right": False, "probability": 0.7}
    for file, found in (("00001-0.png", 1), ("../../order.json", 0)):
        content = [{"epoch": 1, "masks": False, "images": [{**shown, "file": file}]}]
        (folder / "examples.json").write_text(json.dumps(content))
        assert len(run.snapshots(folder)) == found


def test_what_cannot_be_learned_is_refused_before_anything_is_written(
    store, begun, tmp_path
) -> None:
    run, weights = new_run(tmp_path / "runs"), tmp_path / "weights"
    write_bundle(weights, "casting", "resnet50")
    (weights / "steel-caps").mkdir()
    other = (weights / "casting" / "line.json").read_text()
    renamed = other.replace('"casting"', '"steel-caps"')
    (weights / "steel-caps" / "line.json").write_text(renamed)
    for bundle, words in (("../x", "is no name of a bundle"), ("new", "of other classes")):
        with pytest.raises(TrainingError, match=words):
            teach(store, run, weights, bundle)
    with store.session() as session:
        labelling.remove_images(session, range(1, 13, 2), ADA)
    with pytest.raises(TrainingError, match="Fine part: 0 images show it, and at least 4"):
        teach(store, run, tmp_path)
    assert not begun and not run.learned.exists()


def test_a_set_that_tells_another_line_than_its_labels_is_refused(store, begun, tmp_path) -> None:
    run = new_run(tmp_path / "runs")
    with pytest.raises(TrainingError):
        teach(store, run, tmp_path)
    index = run.learned / "index.csv"
    index.write_text(index.read_text().replace("crack", "rust"))
    with pytest.raises(ValueError, match="has no class 'rust'"):
        line_for(open_set(run.learned, PIXELS).catalog, tmp_path / "none", "first")
    index.write_text(index.read_text().replace("rust", "fine"))
    with pytest.raises(ValueError, match="no image shows crack"):
        line_for(open_set(run.learned, PIXELS).catalog, tmp_path / "none", "first")


@pytest.mark.parametrize(
    ("effort", "name"),
    [(e, n) for e in EFFORTS for n in (LABELS, MASKS) if (e, n) != (QUICK, MASKS)],
)
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_what_is_chosen_makes_a_recipe(tmp_path, effort, name, mode) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe_of(name, effort, mode, FINE["Fine"], 60))
    recipe = load_recipe(file)
    assert recipe.preprocessing.height == recipe.preprocessing.width == 2 * side_of(name)
    assert recipe.epochs == EFFORTS[effort][1]["epochs"]
    assert bool(recipe.masks) == (name == MASKS)
    assert recipe.frozen == (effort == QUICK)
    content = yaml.safe_load(file.read_text())
    large = yaml.safe_load(recipe_of(name, effort, mode, 1, 5000))
    assert "samples_per_epoch" not in large
    assert recipe.samples_per_epoch == (None if effort == QUICK else LEAST_SEEN)
    # A step at twice the detail costs no more where what is drawn says what a part shows.
    seen = recipe.preprocessing.height * recipe.augmentation.crop
    assert seen == side_of(name) * (1 if name == MASKS else 2)
    if name == MASKS:
        wanted = "sigmoid" if mode == "multilabel" else "softmax"
        assert content["options"]["weighing"] == wanted
