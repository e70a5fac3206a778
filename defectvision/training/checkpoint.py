"""What a run keeps on disk: where it stands, its epochs so far, and the weights that it keeps."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import save_file
from torch import nn

from defectvision import atomic
from defectvision.training.recipe import Recipe

WEIGHTS = "weights.safetensors"  # of a finished run
CHECKPOINT = "checkpoint"
HISTORY = "metrics.jsonl"


@dataclass
class Position:
    """Where a training stands; saved with each checkpoint. history: a row an epoch."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {k: getattr(self, k) for k in ("epoch", "step", "seconds", "history")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where `state` was."""
        self.__dict__.update(state)


def fold_folder(run: Path, fold: int) -> Path:
    """Where a run by folds keeps that fold's training."""
    return run / f"fold-{fold}"


def save_checkpoint(accelerator: Accelerator, run: Path) -> None:
    """Replace the run's checkpoint whole, so that a kill while saving leaves the older one."""
    fresh = run / f"{CHECKPOINT}.new"
    if accelerator.is_main_process:
        shutil.rmtree(fresh, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(fresh))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        atomic.replace_folder(fresh, run / CHECKPOINT)
    accelerator.wait_for_everyone()


def write_history(run: Path, history: list[dict[str, Any]]) -> None:
    """Write one JSON object an epoch."""
    atomic.write_text(run / HISTORY, "".join(json.dumps(row) + "\n" for row in history))


def keep_epoch(run: Path, model: nn.Module, history: list[dict[str, Any]], recipe: Recipe) -> None:
    """Write the model's weights, where the recipe keeps those of the last epoch so far."""
    if history[-1]["epoch"] == kept_epoch(history, recipe):
        with atomic.replacing(_weights_of(run, history[-1]["epoch"])) as fresh:
            weights = model.state_dict()
            save_file({k: v.detach().cpu().contiguous() for k, v in weights.items()}, fresh)


def finish(run: Path, history: list[dict[str, Any]], recipe: Recipe) -> int:
    """Leave only the weights that the recipe keeps, as the run's own; returns their epoch."""
    epoch = kept_epoch(history, recipe)
    _weights_of(run, epoch).replace(run / WEIGHTS)
    for passed in run.glob("epoch-*.safetensors"):
        passed.unlink()
    return epoch


def kept_epoch(history: list[dict[str, Any]], recipe: Recipe) -> int:
    """Of the epochs so far the last, or the one with the lowest loss on `val`, the first of
    equals."""
    if recipe.keep == "last":
        return int(history[-1]["epoch"])
    losses = [math.inf if math.isnan(row["val_loss"]) else row["val_loss"] for row in history]
    return int(history[losses.index(min(losses))]["epoch"])


def _weights_of(run: Path, epoch: int) -> Path:
    return run / f"epoch-{epoch}.safetensors"
