"""What a training minimises: the loss of the label and of the masks."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from defectvision.bundle.line import Line
from defectvision.models.prediction import Prediction, SegmentingPrediction
from defectvision.training.dataset import PlacedImages
from defectvision.training.examples import Example
from defectvision.training.imbalance import balanced, loss_weights
from defectvision.training.losses import LOSSES
from defectvision.training.recipe import Recipe
from defectvision.training.targets import class_counts

# Images whose pixels are counted to weigh the classes of the masks.
COUNTED_IMAGES = 400


class Objective(nn.Module):
    """The recipe's losses for one line, weighted by what its training images hold.

    class_weights: (C,) of the labels, pixel_weights: (K,) of the masks, each of mean 1.
    """

    class_weights: Tensor
    pixel_weights: Tensor

    def __init__(self, recipe: Recipe, line: Line, images: PlacedImages):
        super().__init__()
        self.recipe = recipe
        self.multilabel = line.label_mode == "multilabel"
        counts = class_counts(images.targets, len(line.classes))
        self.register_buffer("class_weights", loss_weights(counts, recipe.imbalance, line))
        self.register_buffer("pixel_weights", _pixel_weights(recipe, images))

    def forward(self, answer: Prediction | SegmentingPrediction, batch: Example) -> Tensor:
        """The loss of a batch, a scalar."""
        loss = self.label_loss(answer.logits, batch.target)
        if self.recipe.masks:
            masks = cast(SegmentingPrediction, answer).masks
            loss = loss + self.recipe.masks.weight * self.mask_loss(masks, batch)
        return loss

    def label_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits (B, C), target (B,) or (B, C) of `dataset.targets_of`."""
        smooth = self.recipe.label_smoothing
        if self.multilabel:
            soft = target * (1 - smooth) + smooth / 2
            return functional.binary_cross_entropy_with_logits(
                logits, soft, weight=self.class_weights
            )
        return functional.cross_entropy(
            logits, target, weight=self.class_weights, label_smoothing=smooth
        )

    def mask_loss(self, masks: Tensor, batch: Example) -> Tensor:
        """masks (B, K, h, w) log-odds on the model's grid, compared at the input's size."""
        truth = batch.masks.float()
        if masks.shape[2:] != truth.shape[2:]:
            masks = functional.interpolate(
                masks.float(), size=truth.shape[2:], mode="bilinear", align_corners=False
            )
        counts = batch.counts[:, None].float()
        if not counts.any():
            return masks.sum() * 0.0
        losses = self.recipe.masks.losses if self.recipe.masks else {}
        parts = [
            weight * LOSSES[name](masks.float(), truth, counts, self.pixel_weights)
            for name, weight in losses.items()
        ]
        return torch.stack(parts).sum()


def _pixel_weights(recipe: Recipe, images: PlacedImages) -> Tensor:
    if not recipe.masks or recipe.masks.class_weights == "none":
        return torch.ones(len(images.mask_classes))
    step = max(1, len(images) // COUNTED_IMAGES)
    pixels = sum(images.marked(i).masks.sum((1, 2)) for i in range(0, len(images), step))
    return balanced(np.asarray(pixels), recipe.masks.class_weights)
