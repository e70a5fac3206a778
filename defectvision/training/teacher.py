"""A trained run as the teacher of a student that has the same classes."""

from __future__ import annotations

import random

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from defectvision.models.prediction import Prediction, SegmentingPrediction
from defectvision.training.checkpoint import WEIGHTS, fold_folder
from defectvision.training.recipe import RecipeError, load_recipe
from defectvision.training.task import TrainingTask, fresh_network


def load_teacher(task: TrainingTask, device: torch.device) -> nn.Module | None:
    """The network of the run that teaches the task, which is not learned any further; by folds,
    that of the same fold. None where the recipe names none.

    Raises RecipeError for a teacher that was trained on another split, so that it knows images
    which the student is measured on, RecipeError or OSError where its run is not finished.
    """
    teacher = task.recipe.teacher
    if teacher is None:
        return None
    file = teacher.run / "recipe.yaml"
    learned = load_recipe(file)
    if learned.split != task.recipe.split:
        raise RecipeError(
            f"{file}: the teacher was trained on another split, so it knows images that this "
            "training is measured on. Give both recipes the same split, and train the teacher anew"
        )
    folder = teacher.run if task.fold is None else fold_folder(teacher.run, task.fold)
    network = fresh_network(learned, task.line)
    network.load_state_dict(load_file(folder / WEIGHTS))
    network = network.to(device).to(memory_format=torch.channels_last)
    return network.eval().requires_grad_(False)


def distil(teacher: nn.Module, images: Tensor, answer: Prediction | SegmentingPrediction) -> Tensor:
    """How far the student's evidence lies from the teacher's on the same varied images.

    Compared are the differences between the classes' maps (what decides), on the student's
    grid, in units of the teacher's own spread.
    """
    with torch.no_grad():
        taught = teacher(images)
        target = taught.evidence - taught.evidence.mean(1, keepdim=True)
        target = functional.interpolate(target, size=answer.evidence.shape[2:], mode="area")
    learned = answer.evidence - answer.evidence.mean(1, keepdim=True)
    maps = functional.mse_loss(learned, target) / target.var().clamp_min(1e-6)
    soft = functional.kl_div(
        answer.logits.log_softmax(1),
        taught.logits.log_softmax(1),
        log_target=True,
        reduction="batchmean",
    )
    return maps + soft


def random_window(images: Tensor) -> Tensor:
    """A window of half the side, somewhere in the frame, the same for the whole batch."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    y, x = random.randint(0, height), random.randint(0, width)
    return images[:, :, y : y + height, x : x + width]
