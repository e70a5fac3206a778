"""A trained run as the teacher of a student that has the same classes."""

from __future__ import annotations

import random

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from defectvision.bundle.line import Line
from defectvision.models.prediction import Prediction, SegmentingPrediction
from defectvision.training.checkpoint import WEIGHTS
from defectvision.training.recipe import Teacher, load_recipe
from defectvision.training.task import fresh_network


def load_teacher(teacher: Teacher, line: Line, device: torch.device) -> nn.Module:
    """The network of the teacher's run, which is not learned any further; raises RecipeError or
    OSError where the run is not finished."""
    network = fresh_network(load_recipe(teacher.run / "recipe.yaml"), line)
    network.load_state_dict(load_file(teacher.run / WEIGHTS))
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
