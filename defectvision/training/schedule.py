"""How fast each weight learns, and how that moves over the steps of a training."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    LambdaLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
)

from defectvision.models.prediction import Network
from defectvision.training.recipe import Recipe

PLATEAU_FACTOR = 0.3


def rated(model: Network, recipe: Recipe) -> list[dict[str, Any]]:
    """The model's parameters with their learning rates: those of a pretrained backbone, then the
    rest, which begins from nothing and may learn faster; all in one where there is no such."""
    rate, parameters = recipe.learning_rate, list(model.parameters())
    if recipe.fresh_rate == 1 or recipe.pretrained == "none" or model.backbone is None:
        return [{"params": parameters, "lr": rate}]
    known = {id(parameter) for parameter in model.backbone.parameters()}
    return [
        {"params": [p for p in parameters if id(p) in known], "lr": rate},
        {"params": [p for p in parameters if id(p) not in known], "lr": rate * recipe.fresh_rate},
    ]


def step_schedule(recipe: Recipe, optimizer: Optimizer, steps: int) -> LRScheduler:
    """The recipe's schedule, moved once a step, for a training of so many `steps`."""
    kind = recipe.schedule.kind
    if kind == "one_cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, highest, total_steps=steps + 1)
    if kind == "cosine":
        return LambdaLR(optimizer, partial(_cosine, total=steps, warmup=recipe.warmup_steps))
    # A plateau moves the rate itself, once an epoch.
    return ConstantLR(optimizer, factor=1.0)


def plateau_schedule(recipe: Recipe, optimizer: Optimizer) -> ReduceLROnPlateau | None:
    """What lowers the rate after epochs without a better loss, where the recipe asks for that."""
    if recipe.schedule.kind != "plateau":
        return None
    return ReduceLROnPlateau(optimizer, factor=PLATEAU_FACTOR, patience=recipe.schedule.patience)


def _cosine(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    # A plain float: numpy's would be refused when the checkpoint is read back.
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))
