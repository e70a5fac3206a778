"""The training loop: any number of devices, mixed precision, resumable at the last checkpoint."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DataLoaderConfiguration, set_seed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.utils.data import Subset

from defectvision.training.allocation import keep_freed_memory
from defectvision.training.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    Position,
    finish,
    keep_epoch,
    save_checkpoint,
    write_history,
)
from defectvision.training.dataset import VariedImages
from defectvision.training.examples import Example
from defectvision.training.imbalance import epoch_order, sampling_weights
from defectvision.training.precision import choose_precision, keep_slow_gradients_fp32
from defectvision.training.prediction import Scores, batches, loaders, predict
from defectvision.training.pretrained import load_pretrained
from defectvision.training.progress import PROGRESS_FILE, WRITE_SECONDS, write_progress
from defectvision.training.recipe import Recipe, RecipeError
from defectvision.training.schedule import plateau_schedule, rated, step_schedule
from defectvision.training.task import TrainingTask
from defectvision.training.teacher import distil, load_teacher, random_window
from defectvision.training.tracking import track_epoch, write_examples

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 300
ANOTHER = 7919  # between the seeds of two processes


def train(task: TrainingTask, run: Path) -> Path:
    """Train on the task's images to learn from and follow its validation images; resumes what
    `run` holds.

    Writes `run/metrics.jsonl` (one object an epoch), checkpoints, and at the end
    `run/weights.safetensors`: the weights, averaged where the recipe says so, of the epoch that it
    keeps. Its path is returned; a run that has it is finished.
    """
    weights = run / WEIGHTS
    if weights.is_file():
        log.info("%s: this run is finished", run)
        return weights
    state = _begin(task, run)
    position, accelerator = state.position, state.accelerator
    with _Bar(task, state) as bar:
        while position.epoch < task.recipe.epochs:
            losses = _learn_epoch(task, state, bar)
            row = _close_epoch(task, state, losses)
            if accelerator.is_main_process:
                bar.epoch(row)
    if accelerator.is_main_process:
        epoch = finish(run, position.history, task.recipe)
        log.info("kept the weights of epoch %d", epoch)
    accelerator.end_training()
    return weights


@dataclass(eq=False)
class _State:
    """What moves while a training runs.

    samples: images of an epoch; steps: batches of an epoch; sampling: how often each image is
    drawn, None for each once.
    """

    run: Path
    accelerator: Accelerator
    varied: VariedImages
    model: nn.Module
    averaged: ModelEmaV3 | None
    teacher: nn.Module | None
    optimizer: Optimizer
    schedule: LRScheduler
    plateau: ReduceLROnPlateau | None
    position: Position
    samples: int
    steps: int
    sampling: NDArray[np.float64] | None

    @property
    def answering(self) -> nn.Module:
        """The network whose answers count: the averaged one, where weights are averaged."""
        if self.averaged is not None:
            return self.averaged.module
        return self.accelerator.unwrap_model(self.model)


def processes() -> PartialState:
    """Which of the processes that learn together this one is: the only one, unless torchrun or
    `accelerate launch` started it. On a CPU they agree by gloo."""
    return PartialState(cpu=_on_cpu())


def _on_cpu() -> bool:
    return not torch.accelerator.is_available()


def _begin(task: TrainingTask, run: Path) -> _State:
    """Everything as the last checkpoint in `run` left it, or as a training begins."""
    recipe = task.recipe
    accelerator = Accelerator(
        cpu=_on_cpu(),
        # A batch is shared by all processes, and the schedule goes one step for each.
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        mixed_precision=choose_precision(recipe.precision),
        log_with=None if recipe.tracking == "none" else recipe.tracking,
        project_dir=run,
    )
    _check_shared(recipe, accelerator)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    set_seed(recipe.seed)
    run.mkdir(parents=True, exist_ok=True)
    if recipe.tracking != "none":
        accelerator.init_trackers("tracking", {"recipe": recipe.model_dump_json()})
    network = task.network()
    resuming = (run / CHECKPOINT).is_dir()
    if not resuming:
        log.info(load_pretrained(network, recipe.pretrained))
    samples = recipe.samples_per_epoch or len(task.training)
    steps = -(-samples // recipe.batch_size)

    if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
        # A CPU has none.
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(rated(network, recipe), weight_decay=recipe.weight_decay)
    schedule = step_schedule(recipe, optimizer, steps * recipe.epochs)
    plateau = plateau_schedule(recipe, optimizer)
    averaged = ModelEmaV3(network, decay=recipe.ema, use_warmup=True) if recipe.ema else None
    position = Position()
    keep_slow_gradients_fp32(network)
    model, optimizer, schedule = accelerator.prepare(network, optimizer, schedule)
    accelerator.register_for_checkpointing(position, *filter(None, (averaged, plateau)))
    if averaged:
        averaged.to(accelerator.device)
    if resuming:
        accelerator.load_state(str(run / CHECKPOINT))
        log.info("resumed at epoch %d, step %d", position.epoch + 1, position.step)
    teacher = load_teacher(task, accelerator.device)
    task.objective.to(accelerator.device)
    sampling = sampling_weights(task.training.images.catalog, recipe.imbalance)
    if loaders():
        task.training.keep()
    return _State(
        run, accelerator, task.varied(), model, averaged, teacher, optimizer, schedule, plateau,
        position, samples, steps, sampling,
    )  # fmt: skip


def _check_shared(recipe: Recipe, accelerator: Accelerator) -> None:
    """The recipe's batch is that of all processes together, so that it learns the same with one and
    with several."""
    if recipe.batch_size % accelerator.num_processes:
        raise RecipeError(
            f"a batch of {recipe.batch_size} images cannot be shared evenly by "
            f"{accelerator.num_processes} processes. Start as many as divide it, or change "
            "batch_size"
        )


def _learn_epoch(task: TrainingTask, state: _State, bar: _Bar) -> list[float]:
    """Learn from what is left of the epoch; the loss of each step."""
    recipe, position, accelerator = task.recipe, state.position, state.accelerator
    apart = ANOTHER * accelerator.process_index  # each process varies its images by itself
    random.seed(recipe.seed + 1000 * position.epoch + position.step + apart)
    order = epoch_order(
        state.sampling, len(state.varied), state.samples, recipe.seed + position.epoch
    )
    left = order[position.step * recipe.batch_size :].tolist()
    loader = accelerator.prepare(batches(Subset(state.varied, left), recipe.batch_size))
    state.model.train()
    started, saved, losses = time.monotonic(), time.monotonic(), []
    for batch in loader:
        loss = _loss(task, state, batch)
        accelerator.backward(loss)
        if recipe.gradient_clip:
            accelerator.clip_grad_norm_(state.model.parameters(), recipe.gradient_clip)
        state.optimizer.step()
        state.schedule.step()
        state.optimizer.zero_grad()
        if state.averaged is not None:
            done = position.epoch * state.steps + position.step
            state.averaged.update(accelerator.unwrap_model(state.model), step=done)
        position.step += 1
        losses.append(loss.item())
        bar.step(losses[-1])
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            save_checkpoint(accelerator, state.run)
    position.seconds += time.monotonic() - started
    return losses


def _loss(task: TrainingTask, state: _State, batch: Example) -> Tensor:
    """What the model's answer to a batch costs, by its labels and masks and by the teacher."""
    recipe, pictures = task.recipe, batch.image
    done = state.position.epoch * state.steps + state.position.step
    total = state.steps * recipe.epochs
    taught = recipe.teacher
    windowed = taught is not None and done < taught.windows_until * total
    if windowed:
        pictures = random_window(pictures)
    seen = functional.avg_pool2d(pictures, 2) if done < recipe.small_until * total else pictures
    with state.accelerator.autocast():
        answer = state.model(seen.contiguous(memory_format=torch.channels_last))
    loss = pictures.new_zeros(()) if windowed else task.objective(answer, batch)
    if taught is not None and state.teacher is not None:
        loss = loss + taught.weight * distil(state.teacher, pictures, answer)
    return loss


def _close_epoch(task: TrainingTask, state: _State, losses: list[float]) -> dict[str, Any]:
    """Measure the epoch on the validation images, note its figures, and keep its weights if they
    are the ones to keep so far. Returns the figures."""
    recipe, position, accelerator = task.recipe, state.position, state.accelerator
    model = state.answering
    with accelerator.autocast():
        scores = predict(model, task.validation, recipe.batch_size, task.objective)
    row = _row(state, scores, losses)
    if state.plateau is not None:
        state.plateau.step(scores.loss)
    position.history.append(row)
    position.epoch, position.step = position.epoch + 1, 0
    track_epoch(accelerator, row, model, task.validation)
    if accelerator.is_main_process:
        write_history(state.run, position.history)
        keep_epoch(state.run, model, position.history, recipe)
        write_examples(state.run, position.epoch, recipe.epochs, model, task.validation)
    save_checkpoint(accelerator, state.run)
    return row


def _row(state: _State, scores: Scores, losses: list[float]) -> dict[str, Any]:
    loss = None
    if losses:  # of all processes
        mean = torch.tensor(losses, device=state.accelerator.device).mean()
        loss = round(float(state.accelerator.reduce(mean, "mean")), 4)
    return {
        "epoch": state.position.epoch + 1,
        "train_loss": loss,
        "val_loss": round(scores.loss, 4),
        "val_accuracy": round(scores.accuracy, 4),
        "learning_rate": state.optimizer.param_groups[0]["lr"],
        "seconds": round(state.position.seconds, 1),
    }


class _Bar:
    """Shows how far a training is: on the standard error, and in the run's progress.json."""

    def __init__(self, task: TrainingTask, state: _State):
        self._position, self._epochs = state.position, task.recipe.epochs
        self._shown = state.accelerator.is_main_process
        self._step = "learning"
        self._file = state.run / PROGRESS_FILE
        if task.fold is not None:
            self._step += f", fold {task.fold + 1} of {task.recipe.split.folds}"
            self._file = state.run.parent / PROGRESS_FILE
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(self._epochs)),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}"),
            console=Console(stderr=True),
            disable=not self._shown,
        )
        self._total = state.steps * self._epochs
        self._done = self._begun = state.position.epoch * state.steps + state.position.step
        self._started = self._told = time.monotonic()
        self._bar = self._progress.add_task(
            "",
            total=self._total,
            completed=self._done,
            epoch=state.position.epoch + 1,
            shown="",
        )

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, loss: float) -> None:
        """One step further."""
        epoch = self._position.epoch + 1
        self._progress.update(self._bar, advance=1, epoch=epoch, shown=f"loss {loss:.3f}")
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._told > WRITE_SECONDS:
            self._told = now
            left = (now - self._started) / (self._done - self._begun) * (self._total - self._done)
            words = f"{self._step}, epoch {epoch} of {self._epochs}"
            write_progress(self._file, words, self._done, self._total, left)

    def epoch(self, row: dict[str, Any]) -> None:
        """One epoch further, with its figures."""
        self._progress.console.print(
            f"epoch {row['epoch']}: train loss {row['train_loss']}, val loss {row['val_loss']}, "
            f"val accuracy {row['val_accuracy']}"
        )
