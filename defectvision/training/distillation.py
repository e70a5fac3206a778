"""A general network from a small pretrained one, without labels.

The student learns to answer strong crops of few pictures as the teacher does (Asano and Saeed
2023, https://arxiv.org/abs/2112.00725). A kill costs what was learned since the last checkpoint.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from defectvision import atomic, roots
from defectvision.limits import SMALL_FILE
from defectvision.training.checkpoint import WEIGHTS
from defectvision.training.precision import choose_precision
from defectvision.training.pretrained import load_pretrained
from defectvision.training.probe import ProbeSet, probe
from defectvision.training.recipe import RecipeError, Source
from defectvision.training.teaching import STRIDES, Student, WholeNetwork, losses, write_backbone
from defectvision.training.unlabelled import Crops, Pool, crop_batch

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_SECONDS = 300
REPORT_SAMPLES = 5_000

Placed = TypeVar("Placed", bound=nn.Module)


class Stage(BaseModel):
    """So many samples of crops of `size` px."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    samples: int = Field(ge=1)
    size: int = Field(ge=32, multiple_of=32)


class Distillation(BaseModel):
    """All that decides a distillation. Warm-up and probes are counted in samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[Source, ...] = ()
    teacher: str = "tf_efficientnet_lite0"
    student: str = "resnet50"
    stages: tuple[Stage, ...] = Field(min_length=1)
    crops: Crops = Crops()
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(0.001, gt=0)
    warmup: int = Field(0, ge=0, description="samples in which the rate rises")
    cooldown: float = Field(
        0.2,
        ge=0,
        le=1,
        description="last share of the samples, in which the rate falls to 0; before, it "
        "stays, so that a run can be lengthened",
    )
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float = Field(0.0, ge=0, description="largest norm; 0 does not clip")
    temperature: float = Field(2.0, gt=0)
    feature_weight: float = Field(1.0, ge=0, description="of each stride, against the answers")
    ema: float = Field(0.999, gt=0, lt=1)
    probe_every: int = Field(100_000, ge=1)
    probe_first: int = Field(10_000, ge=1, description="and once after so many samples")
    precision: str = "auto"
    seed: int = 0

    @property
    def samples(self) -> int:
        return sum(stage.samples for stage in self.stages)

    def size_at(self, sample: int) -> int:
        """Side in px of the crops from this sample on."""
        for stage in self.stages:
            if sample < stage.samples:
                return stage.size
            sample -= stage.samples
        return self.stages[-1].size

    def is_probe_due(self, before: int, after: int) -> bool:
        """Whether a probe lies between two numbers of samples."""
        first = before < self.probe_first <= after
        return first or before // self.probe_every < after // self.probe_every

    def rate_at(self, sample: int) -> float:
        """The learning rate of a step that begins at this sample."""
        rise = min(1.0, (sample + self.batch_size) / self.warmup) if self.warmup else 1.0
        left = (self.samples - sample) / max(1.0, self.cooldown * self.samples)
        return self.learning_rate * max(0.0, min(rise, left, 1.0))


def load_distillation(path: Path) -> Distillation:
    """Read a recipe; raises RecipeError that names the file and what is wrong."""
    try:
        return Distillation.model_validate(yaml.safe_load(roots.content(path, SMALL_FILE).decode()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise RecipeError(f"{path}: is no recipe of a distillation ({error})") from error


@dataclass
class Position:
    """Where a distillation stands; saved with each checkpoint."""

    samples: int = 0
    steps: int = 0
    seconds: float = 0.0


class Run:
    """The state of a distillation in its folder."""

    def __init__(self, recipe: Distillation, folder: Path):
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        teacher = WholeNetwork(recipe.teacher)
        log.info("teacher: %s", load_pretrained(teacher, "auto"))
        self.teacher = self._placed(teacher).eval().requires_grad_(False)
        self.student = self._placed(Student(recipe.student, self.teacher.channels)).train()
        self.averaged = ModelEmaV3(self.student.network, decay=recipe.ema, use_warmup=True)
        parameters = list(self.student.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        self.autocast = choose_precision(recipe.precision) != "no"
        self.position = Position()
        folder.mkdir(parents=True, exist_ok=True)
        self._resume()

    def _placed(self, network: Placed) -> Placed:
        return network.to(self.device).to(memory_format=torch.channels_last)

    def step(self, images: Tensor) -> dict[str, Tensor]:
        """Learn from (B, H, W, 3) uint8; returns each loss, a scalar that is not waited for."""
        recipe = self.recipe
        batch = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.rate_at(self.position.samples)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            with torch.no_grad():
                wanted = self.teacher(batch)
            answer = self.student(batch)
        terms = losses(answer, wanted, recipe.temperature)
        features = torch.stack([terms[f"stride{stride}"] for stride in STRIDES]).sum()
        torch.autograd.backward(terms["answers"] + recipe.feature_weight * features)
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.student.parameters(), recipe.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.averaged.update(self.student.network, step=self.position.steps)
        self.position.samples += len(images)
        self.position.steps += 1
        return {name: term.detach() for name, term in terms.items()}

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "student": self.student,
            "averaged": self.averaged,
            "optimizer": self.optimizer,
        }

    def save(self) -> None:
        """Replace the checkpoint and the weights, so that a kill leaves the older ones whole."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic.replacing(self.folder / CHECKPOINT) as fresh:
            torch.save({**state, "position": asdict(self.position)}, fresh)
        write_backbone(self.averaged.module, self.folder / WEIGHTS)

    def _resume(self) -> None:
        file = self.folder / CHECKPOINT
        if not file.is_file():
            return
        state = torch.load(file, map_location=self.device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.position = Position(**state["position"])
        for curve in ("losses.jsonl", "probe.jsonl"):
            self._drop_later(self.folder / curve)
        log.info("resumed at %d samples", self.position.samples)

    def _drop_later(self, curve: Path) -> None:
        """Rows past the checkpoint are written again."""
        if curve.is_file():
            lines = curve.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [x for x in lines if json.loads(x)["samples"] <= self.position.samples]
            atomic.write_text(curve, "".join(kept))

    def note(self, curve: str, row: dict[str, Any]) -> None:
        with (self.folder / curve).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        log.info("%s", row)

    def is_teacher_probed(self) -> bool:
        curve = self.folder / "probe.jsonl"
        return curve.is_file() and '"teacher"' in curve.read_text(encoding="utf-8")

    def probe(self, name: str, network: WholeNetwork, probes: Sequence[ProbeSet]) -> None:
        """Note what frozen features are worth, those of both strides pooled."""
        was_training = network.training
        network.eval()

        @torch.inference_mode()
        def features(images: np.ndarray) -> np.ndarray:
            grey = torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1).to(self.device)
            # Back to the scale of a picture from 0 to 1, as both networks take it.
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                answer = network(
                    (grey * 0.226 + 0.449).contiguous(memory_format=torch.channels_last)
                )
            return torch.cat([x.float().mean((2, 3)) for x in answer.features], 1).cpu().numpy()

        learned = self.position.samples if network is not self.teacher else 0
        row = {"samples": learned, "network": name}
        for images in probes:
            row[images.name] = probe(features, images)
        network.train(was_training)
        self.note("probe.jsonl", row)


class _Batches(Dataset[Tensor]):
    """The batches of crops from sample `first` on, each (B, H, W, 3) uint8."""

    def __init__(self, recipe: Distillation, pool: Pool, first: int):
        self.recipe, self.pool = recipe, pool
        self.firsts = range(first, recipe.samples, recipe.batch_size)

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, number: int) -> Tensor:
        recipe, first = self.recipe, self.firsts[number]
        count = min(recipe.batch_size, recipe.samples - first)
        size = recipe.size_at(first)
        return torch.from_numpy(
            crop_batch(self.pool, first, count, size, recipe.crops, recipe.seed)
        )


def _loader(batches: _Batches) -> DataLoader[Tensor]:
    """Cut by the other cores beside a GPU; on a CPU the networks take all of them themselves."""
    workers = max(1, (os.cpu_count() or 2) - 1) if torch.cuda.is_available() else 0
    return DataLoader(
        batches,
        batch_size=None,
        num_workers=workers,
        pin_memory=workers > 0,
        worker_init_fn=lambda _: cv2.setNumThreads(1),
    )


def distil(
    recipe: Distillation,
    pool: Pool,
    folder: Path,
    probes: Sequence[ProbeSet] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> Path:
    """Train, or go on where `folder` stands, until the recipe's samples are learned from or
    `stopping` says so; returns the weights.

    Writes `weights.safetensors` (the averaged backbone), `checkpoint.pt`, `losses.jsonl` and,
    every `probe_every` samples, `probe.jsonl`.
    """
    run = Run(recipe, folder)
    position = run.position
    if probes and not run.is_teacher_probed():
        run.probe("teacher", run.teacher, probes)
    started, before = time.monotonic(), position.seconds
    saved = started
    seen: list[dict[str, Tensor]] = []
    reported = (started, position.samples)
    for images in _loader(_Batches(recipe, pool, position.samples)):
        if stopping():
            break
        count, size = images.shape[:2]
        seen.append(run.step(images))
        now = time.monotonic()
        position.seconds = before + now - started
        passed = position.samples - reported[1]
        if passed >= REPORT_SAMPLES or position.samples >= recipe.samples:
            row: dict[str, float] = {"samples": position.samples, "size": size}
            for name in seen[0]:
                row[name] = round(torch.stack([terms[name] for terms in seen]).mean().item(), 4)
            row["samples_per_second"] = round(passed / (now - reported[0]), 1)
            run.note("losses.jsonl", row)
            reported, seen = (now, position.samples), []
        if probes and recipe.is_probe_due(position.samples - count, position.samples):
            run.probe("student", run.averaged.module, probes)
            saved = -math.inf
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            run.save()
            saved = time.monotonic()
    run.save()
    return folder / WEIGHTS


def fit_threads(most: int, load: float) -> None:
    """Compute with the cores that other work leaves, of `most`, at least one.

    load: processes that want to run, this one's threads among them. Threads that wait for each
    other come to less than one where the cores are taken: a quarter of the samples per second, on
    two cores with ten other processes.
    """
    others = max(0.0, load - torch.get_num_threads())
    torch.set_num_threads(max(1, min(most, round(most - others))))
