"""The training loop: any number of devices, mixed precision, resumable at the last checkpoint."""

from __future__ import annotations

import json
import logging
import math
import random
import shutil
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from defectvision.bundle.line import Line
from defectvision.data.image_set import ImageSet
from defectvision.models.trained import build_network
from defectvision.training.augmentation import Augment
from defectvision.training.dataset import PlacedImages, epoch_order, sampling_weights
from defectvision.training.examples import Example
from defectvision.training.objective import Objective, distil
from defectvision.training.precision import choose_precision, keep_slow_gradients_fp32
from defectvision.training.pretrained import load_pretrained
from defectvision.training.recipe import Recipe, RecipeError, load_recipe
from defectvision.training.tracking import track_epoch

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 300


@dataclass
class Position:
    """Where a training stands; saved with each checkpoint."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)

    def state_dict(self) -> dict:
        return {k: getattr(self, k) for k in ("epoch", "step", "seconds", "history")}

    def load_state_dict(self, state: dict) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class Scores:
    """Raw answers on a set of images: logits (N, C) float32, targets (N,) or (N, C), embeddings
    (N, D), and the mean loss."""

    logits: np.ndarray
    targets: np.ndarray
    embeddings: np.ndarray
    loss: float


def build(recipe: Recipe, line: Line) -> nn.Module:
    """The recipe's model with fresh weights."""
    options = dict(recipe.options)
    if recipe.drop_path:
        options["drop_path"] = recipe.drop_path
    return build_network(
        recipe.architecture,
        line.class_names,
        recipe.preprocessing.channels,
        pooling=recipe.pooling,
        mask_classes=masked_classes(recipe, line),
        options=options,
    )


def rated(model: nn.Module, recipe: Recipe) -> list[dict]:
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


def masked_classes(recipe: Recipe, line: Line) -> tuple[str, ...]:
    """The names of the classes whose masks the recipe learns, in the line's order.

    Raises RecipeError for a name that is no defect of the line.
    """
    if not recipe.masks:
        return ()
    defects = tuple(c.name for c in line.classes if c.kind == "defect")
    chosen = recipe.masks.classes or defects
    if unknown := sorted(set(chosen) - set(defects)):
        raise RecipeError(
            f"masks.classes: '{unknown[0]}' is no defect of line '{line.name}', which has: "
            f"{', '.join(defects)}"
        )
    return tuple(name for name in defects if name in chosen)


def train(recipe: Recipe, images: ImageSet, line: Line, run: Path) -> Path:
    """Train on the set's `train` split and follow its `val` split; resumes what `run` holds.

    Writes `run/metrics.jsonl` (one object an epoch), checkpoints, and at the end
    `run/weights.safetensors`: the weights, averaged where the recipe says so, of the epoch that it
    keeps. Its path is returned; a run that has it is finished.
    """
    last = run / "weights.safetensors"
    if last.is_file():
        log.info("%s: this run is finished", run)
        return last
    accelerator = Accelerator(
        mixed_precision=choose_precision(recipe.precision),
        log_with=None if recipe.tracking == "none" else recipe.tracking,
        project_dir=run,
    )
    set_seed(recipe.seed)
    run.mkdir(parents=True, exist_ok=True)
    if recipe.tracking != "none":
        accelerator.init_trackers("tracking", {"recipe": recipe.model_dump_json()})
    model = build(recipe, line)
    checkpoint = run / "checkpoint"
    resuming = checkpoint.is_dir()
    if not resuming:
        log.info(load_pretrained(model, recipe.pretrained))

    training_rows, masked = images.subset("train"), masked_classes(recipe, line)
    how = recipe.preprocessing
    augment = Augment(recipe.augmentation, how)
    train_set = PlacedImages(
        training_rows, line, how, augment, masked, paste=recipe.augmentation.paste
    )
    val_set = PlacedImages(images.subset("val"), line, how, masked=masked)
    weights = sampling_weights(training_rows.catalog, recipe.imbalance)
    samples = recipe.samples_per_epoch or len(train_set)
    batches = -(-samples // (recipe.batch_size * accelerator.num_processes))

    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(rated(model, recipe), weight_decay=recipe.weight_decay)
    schedule = _schedule(recipe, optimizer, batches * recipe.epochs)
    plateau = (
        torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.3, patience=recipe.schedule.patience
        )
        if recipe.schedule.kind == "plateau"
        else None
    )
    averaged = ModelEmaV3(model, decay=recipe.ema, use_warmup=True) if recipe.ema else None
    position = Position()
    keep_slow_gradients_fp32(model)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    accelerator.register_for_checkpointing(position, *filter(None, (averaged, plateau)))
    if averaged:
        averaged.to(accelerator.device)
    if resuming:
        accelerator.load_state(str(checkpoint))
        log.info("resumed at epoch %d, step %d", position.epoch + 1, position.step)
    teacher = _load_teacher(recipe, line, accelerator.device)
    objective = Objective(recipe, line, train_set).to(accelerator.device)

    total = batches * recipe.epochs
    with Progress(
        TextColumn("epoch {task.fields[epoch]}/" + str(recipe.epochs)),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
        disable=not accelerator.is_main_process,
    ) as progress:
        task = progress.add_task(
            "", total=total, completed=position.epoch * batches + position.step, epoch=1, shown=""
        )
        while position.epoch < recipe.epochs:
            random.seed(recipe.seed + 1000 * position.epoch + position.step)
            order = epoch_order(weights, len(train_set), samples, recipe.seed + position.epoch)
            todo = order[position.step * recipe.batch_size * accelerator.num_processes :]
            loader = accelerator.prepare(_loader(Subset(train_set, todo), recipe.batch_size))
            model.train()
            started, saved, losses = time.monotonic(), time.monotonic(), []
            for batch in loader:
                pictures = batch.image
                done = position.epoch * batches + position.step
                windowed = teacher is not None and done < recipe.teacher.windows_until * total
                if windowed:
                    pictures = _window(pictures)
                small = done < recipe.small_until * total
                seen = functional.avg_pool2d(pictures, 2) if small else pictures
                with accelerator.autocast():
                    answer = model(seen.contiguous(memory_format=torch.channels_last))
                loss = 0.0 if windowed else objective(answer, batch)
                if teacher is not None:
                    loss = loss + recipe.teacher.weight * distil(teacher, pictures, answer)
                accelerator.backward(loss)
                if recipe.gradient_clip:
                    accelerator.clip_grad_norm_(model.parameters(), recipe.gradient_clip)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                if averaged:
                    averaged.update(accelerator.unwrap_model(model), step=done)
                position.step += 1
                losses.append(loss.item())
                progress.update(
                    task, advance=1, epoch=position.epoch + 1, shown=f"loss {losses[-1]:.3f}"
                )
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    saved = time.monotonic()
                    _save(accelerator, checkpoint)
            position.seconds += time.monotonic() - started
            chosen = averaged.module if averaged else accelerator.unwrap_model(model)
            scores = predict(chosen, val_set, recipe.batch_size, objective)
            row = {
                "epoch": position.epoch + 1,
                "train_loss": round(float(np.mean(losses)), 4) if losses else None,
                "val_loss": round(scores.loss, 4),
                "val_accuracy": round(_accuracy(scores), 4),
                "learning_rate": optimizer.param_groups[0]["lr"],
                "seconds": round(position.seconds, 1),
            }
            if plateau:
                plateau.step(scores.loss)
            position.history.append(row)
            position.epoch, position.step = position.epoch + 1, 0
            if accelerator.is_main_process:
                progress.console.print(
                    f"epoch {row['epoch']}: train loss {row['train_loss']}, val loss "
                    f"{row['val_loss']}, val accuracy {row['val_accuracy']}"
                )
                lines = "".join(json.dumps(r) + "\n" for r in position.history)
                (run / "metrics.jsonl").write_text(lines, encoding="utf-8")
            track_epoch(accelerator, row, chosen, val_set)
            kept = _kept_epoch(position.history, recipe)
            if accelerator.is_main_process and row["epoch"] == kept:
                _write_weights(chosen, run / f"epoch-{kept}.safetensors")
            _save(accelerator, checkpoint)
    if accelerator.is_main_process:
        kept = run / f"epoch-{_kept_epoch(position.history, recipe)}.safetensors"
        log.info("kept the weights of %s", kept.stem)
        kept.replace(last)
        for passed in run.glob("epoch-*.safetensors"):
            passed.unlink()
    accelerator.end_training()
    return last


@torch.inference_mode()
def predict(
    model: nn.Module, images: PlacedImages, batch_size: int, objective: Objective
) -> Scores:
    """Raw answers of `model` for every item of `images`, in order."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    logits, targets, embeddings, losses = [], [], [], []
    for batch in _loader(images, batch_size):
        batch = Example(*(part.to(device) for part in batch))
        answer = model(batch.image.contiguous(memory_format=torch.channels_last))
        losses.append(float(objective(answer, batch)) * len(batch.image))
        logits.append(answer.logits.float().cpu().numpy())
        embeddings.append(answer.embedding.float().cpu().numpy())
        targets.append(batch.target.cpu().numpy())
    model.train(was_training)
    parts = (np.concatenate(part) for part in (logits, targets, embeddings))
    return Scores(*parts, loss=sum(losses) / len(images))


def _loader(images, batch_size: int) -> DataLoader:
    # On a CPU the model itself takes all cores; beside a GPU four workers keep it fed.
    workers = 4 if torch.cuda.is_available() else 0
    return DataLoader(images, batch_size, num_workers=workers, pin_memory=workers > 0)


def _schedule(
    recipe: Recipe, optimizer: torch.optim.Optimizer, total: int
) -> torch.optim.lr_scheduler.LRScheduler:
    kind = recipe.schedule.kind
    if kind == "one_cycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, highest, total_steps=total + 1)
    if kind == "cosine":
        rule = partial(_cosine, total=total, warmup=recipe.warmup_steps)
        return torch.optim.lr_scheduler.LambdaLR(optimizer, rule)
    # A plateau moves the rate itself, once an epoch.
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _cosine(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    # A plain float: numpy's would be refused when the checkpoint is read back.
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def _accuracy(scores: Scores) -> float:
    """Share of the images whose labels are all right at half."""
    if scores.targets.ndim == 2:
        return float(((scores.logits > 0) == (scores.targets > 0)).all(1).mean())
    return float((scores.logits.argmax(1) == scores.targets).mean())


def _load_teacher(recipe: Recipe, line: Line, device: torch.device) -> nn.Module | None:
    if recipe.teacher is None:
        return None
    own = load_recipe(recipe.teacher.run / "recipe.yaml")
    teacher = build(own, line)
    teacher.load_state_dict(load_file(recipe.teacher.run / "weights.safetensors"))
    return teacher.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _window(images: Tensor) -> Tensor:
    """A window of half the side, somewhere in the frame, the same for the whole batch."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    y, x = random.randint(0, height), random.randint(0, width)
    return images[:, :, y : y + height, x : x + width]


def _kept_epoch(history: list[dict], recipe: Recipe) -> int:
    """Of the epochs so far the last, or the one with the lowest loss on `val`, the first of
    equals."""
    if recipe.keep == "last":
        return history[-1]["epoch"]
    losses = [math.inf if math.isnan(row["val_loss"]) else row["val_loss"] for row in history]
    return history[losses.index(min(losses))]["epoch"]


def _write_weights(model: nn.Module, file: Path) -> None:
    fresh = file.with_suffix(".new")
    save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, fresh)
    fresh.replace(file)


def _save(accelerator: Accelerator, checkpoint: Path) -> None:
    """Replace the checkpoint whole, so that a kill while saving leaves the older one."""
    fresh = checkpoint.with_name("checkpoint.new")
    accelerator.save_state(str(fresh))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        old = checkpoint.with_name("checkpoint.old")
        shutil.rmtree(old, ignore_errors=True)
        if checkpoint.exists():
            checkpoint.rename(old)
        fresh.rename(checkpoint)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()
