"""Who teaches a student by folds: a model that has not seen the fold's test images either."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.limits import PIXELS
from defectvision.training.checkpoint import WEIGHTS, fold_folder
from defectvision.training.new_line import line_for
from defectvision.training.recipe import RecipeError, load_recipe
from defectvision.training.task import TrainingTask
from defectvision.training.teacher import load_teacher

RECIPE = """
architecture: multilabel_cnn
preprocessing: {height: 48, width: 48, fit: round_part}
split: {folds: 3}
"""


@pytest.fixture
def task(tmp_path: Path) -> TrainingTask:
    """Taught by the run tmp_path/teacher, whose weights say in a bias which fold they are of."""
    write_samples("casting", tmp_path / "images", per_class=9, seed=1)
    images = open_set(tmp_path / "images", PIXELS)
    run = tmp_path / "teacher"
    run.mkdir()
    (run / "recipe.yaml").write_text(RECIPE)
    text = RECIPE + f"teacher: {{run: {run}}}\n"
    (tmp_path / "student.yaml").write_text(text)
    recipe = load_recipe(tmp_path / "student.yaml")
    task = TrainingTask.of(recipe, line_for(images.catalog, tmp_path / "none", "a"), images)
    for number, folder in enumerate([run, *(fold_folder(run, n) for n in range(3))]):
        weights = task.network().state_dict()
        name = next(name for name in weights if name.endswith("bias"))
        weights[name] = torch.full_like(weights[name], float(number))
        folder.mkdir(exist_ok=True)
        save_file(weights, folder / WEIGHTS)
    return task


def _marked(task: TrainingTask) -> float:
    teacher = load_teacher(task, torch.device("cpu"))
    assert teacher is not None
    assert not any(p.requires_grad for p in teacher.parameters())
    state = teacher.state_dict()
    return float(state[next(name for name in state if name.endswith("bias"))].flatten()[0])


def test_each_fold_is_taught_by_the_model_of_the_same_fold(task):
    assert _marked(task) == 0
    assert [_marked(fold) for fold in task.folds()] == [1, 2, 3]


def test_a_teacher_of_another_split_is_refused(task, tmp_path):
    other = RECIPE.replace("{folds: 3}", "{folds: 3, seed: 1}")
    (tmp_path / "teacher" / "recipe.yaml").write_text(other)
    with pytest.raises(RecipeError, match="another split, so it knows images"):
        load_teacher(task, torch.device("cpu"))


def test_a_teacher_that_is_not_there_is_named(task, tmp_path):
    (tmp_path / "teacher" / "recipe.yaml").unlink()
    with pytest.raises(RecipeError, match=r"teacher/recipe\.yaml: cannot be read"):
        load_teacher(task, torch.device("cpu"))
