"""A network's raw answers to a set, for following a training and for calibrating its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset

from defectvision.training.dataset import PlacedImages
from defectvision.training.examples import Example
from defectvision.training.objective import Objective


@dataclass(frozen=True)
class Scores:
    """Raw answers on a set of images: logits (N, C) float32, targets (N,) or (N, C), embeddings
    (N, D), and the mean loss."""

    logits: NDArray[np.float32]
    targets: NDArray[Any]
    embeddings: NDArray[np.float32]
    loss: float

    @property
    def accuracy(self) -> float:
        """Share of the images whose labels are all right at half."""
        if self.targets.ndim == 2:
            return float(((self.logits > 0) == (self.targets > 0)).all(1).mean())
        return float((self.logits.argmax(1) == self.targets).mean())


@torch.inference_mode()
def predict(
    model: nn.Module, images: PlacedImages, batch_size: int, objective: Objective
) -> Scores:
    """Raw answers of `model` for every item of `images`, in order."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    objective.to(device)
    logits, targets, embeddings, losses = [], [], [], []
    for batch in batches(images, batch_size):
        batch = Example(*(part.to(device) for part in batch))
        answer = model(batch.image.contiguous(memory_format=torch.channels_last))
        losses.append(float(objective(answer, batch)) * len(batch.image))
        logits.append(answer.logits.float().cpu().numpy())
        embeddings.append(answer.embedding.float().cpu().numpy())
        targets.append(batch.target.cpu().numpy())
    model.train(was_training)
    return Scores(
        np.concatenate(logits),
        np.concatenate(targets),
        np.concatenate(embeddings),
        loss=sum(losses) / len(images),
    )


def batches(images: Dataset[Example], size: int) -> DataLoader[Example]:
    """The items in order, `size` at a time."""
    workers = loaders()
    return DataLoader(images, size, num_workers=workers, pin_memory=workers > 0)


def loaders() -> int:
    """Processes that prepare images: on a CPU the model itself takes all cores; beside a GPU four
    keep it fed."""
    return 4 if torch.cuda.is_available() else 0
