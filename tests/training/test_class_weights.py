"""What the Dataset page offers to paste is a recipe that trains, with those numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.bundle.line import DefectClass, Line
from defectvision.data import statistics
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet, open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.limits import PIXELS
from defectvision.training.imbalance import named_weights
from defectvision.training.loop import train
from defectvision.training.new_line import line_for
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import RecipeError, load_recipe
from defectvision.training.task import TrainingTask

RECIPE = """architecture: multilabel_cnn
preprocessing: {height: 32, width: 32, fit: stretch}
split: {train: 0.5, val: 0.25, test: 0.25}
epochs: 1
samples_per_epoch: 4
batch_size: 4
precision: fp32
tracking: none
"""


def recipe_of(folder: Path, lines: str):
    file = folder / "recipe.yaml"
    file.write_text(f"{RECIPE}{lines}\n", encoding="utf-8")
    return load_recipe(file)


def parts(folder: Path, labels: dict[str, str]) -> ImageSet:
    """Drawn castings with other labels."""
    write_samples("casting", folder, per_class=12, seed=1)
    catalog = open_set(folder, PIXELS).catalog
    renamed = [labels[f"{label}{i % 3}"] for i, label in enumerate(catalog.table["label"])]
    columns = {"path": catalog.table["path"].tolist(), "label": renamed}
    return ImageSet(Catalog(folder, catalog_table(columns), "parts"))


GOOD, BAD = ("ok0", "ok1", "ok2"), ("def0", "def1", "def2")
SETS = {
    "a folder of good parts": dict.fromkeys(GOOD, "clean")
    | dict(zip(BAD, ("crack", "crack", "5"), strict=True)),
    "good parts without a label": dict.fromkeys(GOOD, "")
    | dict(zip(BAD, ("crack", "crack", "no"), strict=True)),
    "several labels": dict.fromkeys(GOOD, "") | dict(zip(BAD, ("a", "a|b", "a"), strict=True)),
}


@pytest.mark.slow
@pytest.mark.parametrize("labels", SETS.values(), ids=SETS)
@pytest.mark.parametrize("column", ["inverse", "effective"])
def test_the_text_of_the_dataset_page_trains_with_its_numbers(tmp_path, labels, column):
    images = parts(tmp_path / "parts", labels)
    table = statistics.class_weights(statistics.trained_balance(images.catalog))
    recipe = recipe_of(tmp_path, statistics.recipe_lines(table, column))
    line = line_for(images.catalog, tmp_path / "line", "tiny")
    task = TrainingTask.of(recipe, line, images)
    assert train(task, tmp_path / "run").is_file()
    shown = dict(zip(table["label"], table[column], strict=True))
    assert set(shown) == set(line.class_names)
    used = dict(zip(line.class_names, task.objective.class_weights.tolist(), strict=True))
    mean = sum(shown.values()) / len(shown)
    for name, weight in shown.items():
        assert used[name] == pytest.approx(weight / mean, rel=1e-3), name
    assert len(set(used.values())) > 1


def line_of(*names: str, good: str = "", mode: str = "multiclass") -> Line:
    classes = tuple(
        DefectClass(name=n, title=n, kind="ok" if n == good else "defect", colour="#000000")
        for n in names
    )
    return Line(name="x", title="X", classes=classes, label_mode=mode, default_bundle="b")


@pytest.mark.parametrize(
    ("weights", "line", "reason"),
    [
        ({"a": 1, "c": 1}, line_of("a", "b"), "'c' is no class of line 'x', which has: a, b"),
        ({"a": 1}, line_of("a", "b"), "no weight for class 'b'"),
        ({"a": 1, "b": 1, "ok": 1}, line_of("a", "b"), "'ok' is no class"),
        ({"a": 1, "ok": 1}, line_of("a", mode="multilabel"), "Good is the absence of a defect"),
        (
            {"a": 1, "ok": 1, "clean": 2},
            line_of("ok", "a", good="ok"),
            "'clean' and another name mean the class 'ok'",
        ),
    ],
)
def test_a_class_too_many_or_too_few_is_named(weights, line, reason):
    with pytest.raises(RecipeError, match=reason):
        named_weights(weights, line)


def test_weights_stand_in_the_lines_order_and_good_may_bear_the_sets_name():
    line = line_of("ok", "a", "b", good="ok")
    assert named_weights({"b": 3, "clean": 1, "a": 2}, line) == [1, 2, 3]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("imbalance: {class_weights: {a: 0}}", r"class_weights\.classes\.a: .*greater than 0"),
        ("imbalance: {class_weights: {a: .inf}}", "finite"),
        ("imbalance: {class_weights: {a: heavy}}", "valid number"),
        ("imbalance: {class_weights: often}", "'none', 'inverse' or 'effective'"),
    ],
)
def test_what_is_no_weight_is_refused_with_its_field(tmp_path, lines, reason):
    with pytest.raises(RecipeError, match=reason):
        recipe_of(tmp_path, lines)


@pytest.mark.slow
def test_a_wrong_class_is_named_before_anything_is_written(tmp_path):
    images = parts(tmp_path / "parts", SETS["a folder of good parts"])
    recipe = recipe_of(tmp_path, "imbalance: {class_weights: {crack: 1, clean: 2, scratch: 3}}")
    with pytest.raises(RecipeError, match="'scratch' is no class"):
        train_line(images, recipe, RECIPE, "x", "b", tmp_path / "weights", tmp_path / "run")
    assert not (tmp_path / "run").exists() and not (tmp_path / "weights").exists()
