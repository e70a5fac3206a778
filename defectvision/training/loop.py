"""The training loop: any number of devices, mixed precision, resumable at the last checkpoint."""

from __future__ import annotations

import json
import logging
import math
import random
import shutil
import time
from dataclasses import dataclass, field
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

from defectvision.data.catalog import Catalog
from defectvision.models import ARCHITECTURES, create_model
from defectvision.models.classifier import EvidenceClassifier, Prediction
from defectvision.training.augmentation import Augment
from defectvision.training.dataset import (
    PlacedImages,
    class_weights,
    epoch_order,
    sampling_weights,
)
from defectvision.training.pretrained import load_pretrained
from defectvision.training.recipe import Recipe, load_recipe

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
    """Raw answers on a set of images: logits (N, C) float32, targets (N,), embeddings (N, D)."""

    logits: np.ndarray
    targets: np.ndarray
    embeddings: np.ndarray


def build(recipe: Recipe, classes: int) -> EvidenceClassifier:
    """The recipe's model with fresh weights."""
    return create_model(
        recipe.architecture,
        classes,
        recipe.preprocessing.channels,
        pooling=recipe.pooling,
        drop_path=recipe.drop_path,
    )


def choose_precision(wanted: str) -> str:
    """accelerate's name for the precision. `auto` is bf16 where it is fast: on CUDA, and on a
    CPU with bf16 matrix units (AMX); without those bf16 measured slower than fp32."""
    if wanted == "auto":
        fast = torch.cuda.is_available() or torch.cpu.get_capabilities().get("amx_bf16", False)
        return "bf16" if fast else "no"
    return {"fp32": "no"}.get(wanted, wanted)


def train(recipe: Recipe, catalog: Catalog, classes: tuple[str, ...], run: Path) -> Path:
    """Train on the catalog's `train` split and follow its `val` split; resumes what `run` holds.

    Writes `run/metrics.jsonl` (one object an epoch), checkpoints, and at the end
    `run/weights.safetensors`, the averaged or the last weights, whichever fit `val` better. Its
    path is returned; a run that has it is finished.
    """
    last = run / "weights.safetensors"
    if last.is_file():
        log.info("%s: this run is finished", run)
        return last
    accelerator = Accelerator(mixed_precision=choose_precision(recipe.precision))
    set_seed(recipe.seed)
    run.mkdir(parents=True, exist_ok=True)
    model = build(recipe, len(classes))
    backbone = ARCHITECTURES[recipe.architecture].args[0]
    checkpoint = run / "checkpoint"
    resuming = checkpoint.is_dir()
    if not resuming:
        log.info(load_pretrained(model, backbone, recipe.pretrained))

    training_rows = catalog.subset("train")
    train_set = PlacedImages(
        training_rows,
        classes,
        recipe.preprocessing,
        Augment(recipe.augmentation, recipe.preprocessing),
    )
    val_set = PlacedImages(catalog.subset("val"), classes, recipe.preprocessing)
    weights = sampling_weights(training_rows, recipe.imbalance)
    samples = recipe.samples_per_epoch or len(train_set)
    batches = -(-samples // (recipe.batch_size * accelerator.num_processes))

    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _cosine(step, batches * recipe.epochs, recipe.warmup_steps)
    )
    averaged = ModelEmaV3(model, decay=recipe.ema, use_warmup=True) if recipe.ema else None
    position = Position()
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    accelerator.register_for_checkpointing(position, *([averaged] if averaged else []))
    if averaged:
        averaged.to(accelerator.device)
    if resuming:
        accelerator.load_state(str(checkpoint))
        log.info("resumed at epoch %d, step %d", position.epoch + 1, position.step)
    teacher = _load_teacher(recipe, len(classes), accelerator.device)
    criterion = nn.CrossEntropyLoss(
        weight=class_weights(train_set.targets, len(classes), recipe.imbalance),
        label_smoothing=recipe.label_smoothing,
    ).to(accelerator.device)

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
            for images, targets in loader:
                done = position.epoch * batches + position.step
                windowed = teacher is not None and done < recipe.teacher.windows_until * total
                if windowed:
                    images = _window(images)
                small = done < recipe.small_until * total
                seen = functional.avg_pool2d(images, 2) if small else images
                with accelerator.autocast():
                    answer = model(seen.contiguous(memory_format=torch.channels_last))
                loss = 0.0 if windowed else criterion(answer.logits, targets)
                if teacher is not None:
                    loss = loss + recipe.teacher.weight * _distil(teacher, images, answer)
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
            scores = predict(chosen, val_set, recipe.batch_size)
            row = {
                "epoch": position.epoch + 1,
                "train_loss": round(float(np.mean(losses)), 4) if losses else None,
                "val_loss": round(_cross_entropy(scores), 4),
                "val_accuracy": round(float((scores.logits.argmax(1) == scores.targets).mean()), 4),
                "learning_rate": schedule.get_last_lr()[0],
                "seconds": round(position.seconds, 1),
            }
            position.history.append(row)
            position.epoch, position.step = position.epoch + 1, 0
            if accelerator.is_main_process:
                progress.console.print(
                    f"epoch {row['epoch']}: train loss {row['train_loss']}, val loss "
                    f"{row['val_loss']}, val accuracy {row['val_accuracy']}"
                )
                lines = "".join(json.dumps(r) + "\n" for r in position.history)
                (run / "metrics.jsonl").write_text(lines, encoding="utf-8")
            _save(accelerator, checkpoint)
    if accelerator.is_main_process:
        candidates = {"last": accelerator.unwrap_model(model)}
        if averaged:
            candidates["averaged"] = averaged.module
        losses = {
            name: _cross_entropy(predict(candidate, val_set, recipe.batch_size))
            for name, candidate in candidates.items()
        }
        best = min(losses, key=losses.get)
        log.info("kept the %s weights (val loss %s)", best, losses)
        state = candidates[best].state_dict()
        save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, last)
    return last


@torch.inference_mode()
def predict(model: nn.Module, images: PlacedImages, batch_size: int) -> Scores:
    """Raw answers of `model` for every item of `images`, in order."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    logits, targets, embeddings = [], [], []
    for batch, wanted in _loader(images, batch_size):
        answer: Prediction = model(batch.to(device, memory_format=torch.channels_last))
        logits.append(answer.logits.float().cpu().numpy())
        embeddings.append(answer.embedding.float().cpu().numpy())
        targets.append(wanted.numpy())
    model.train(was_training)
    return Scores(np.concatenate(logits), np.concatenate(targets), np.concatenate(embeddings))


def _loader(images, batch_size: int) -> DataLoader:
    # On a CPU the model itself takes all cores; beside a GPU four workers keep it fed.
    workers = 4 if torch.cuda.is_available() else 0
    return DataLoader(images, batch_size, num_workers=workers, pin_memory=workers > 0)


def _cosine(step: int, total: int, warmup: int) -> float:
    if step < warmup:
        return (step + 1) / warmup
    # A plain float: numpy's would be refused when the checkpoint is read back.
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def _cross_entropy(scores: Scores) -> float:
    logits, targets = torch.from_numpy(scores.logits), torch.from_numpy(scores.targets)
    return float(functional.cross_entropy(logits, targets))


def _load_teacher(recipe: Recipe, classes: int, device: torch.device) -> nn.Module | None:
    if recipe.teacher is None:
        return None
    own = load_recipe(recipe.teacher.run / "recipe.yaml")
    teacher = build(own, classes)
    teacher.load_state_dict(load_file(recipe.teacher.run / "weights.safetensors"))
    return teacher.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def _distil(teacher: nn.Module, images: Tensor, answer: Prediction) -> Tensor:
    """How far the student's evidence lies from the teacher's on the same varied images.

    Compared are the differences between the classes' maps (what decides), on the student's
    grid, in units of the teacher's own spread.
    """
    with torch.no_grad():
        taught = teacher(images)
        wanted = taught.evidence - taught.evidence.mean(1, keepdim=True)
        wanted = functional.interpolate(wanted, size=answer.evidence.shape[2:], mode="area")
    learned = answer.evidence - answer.evidence.mean(1, keepdim=True)
    maps = functional.mse_loss(learned, wanted) / wanted.var().clamp_min(1e-6)
    soft = functional.kl_div(
        answer.logits.log_softmax(1),
        taught.logits.log_softmax(1),
        log_target=True,
        reduction="batchmean",
    )
    return maps + soft


def _window(images: Tensor) -> Tensor:
    """A window of half the side, somewhere in the frame, the same for the whole batch."""
    height, width = images.shape[2] // 2, images.shape[3] // 2
    y, x = random.randint(0, height), random.randint(0, width)
    return images[:, :, y : y + height, x : x + width]


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
