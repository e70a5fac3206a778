"""What a training minimises: the loss of the label, of the masks, and of a teacher's maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from defectvision.bundle.line import Line
from defectvision.models.classifier import Prediction
from defectvision.training.dataset import PlacedImages, class_counts, class_weights
from defectvision.training.examples import Example
from defectvision.training.losses import LOSSES
from defectvision.training.recipe import Recipe

# Images whose pixels are counted to weigh the classes of the masks.
COUNTED_IMAGES = 400


class Objective(nn.Module):
    """The recipe's losses for one line, weighted by what its training images hold."""

    def __init__(self, recipe: Recipe, line: Line, images: PlacedImages):
        super().__init__()
        self.recipe = recipe
        self.multilabel = line.label_mode == "multilabel"
        counts = class_counts(images.targets, len(line.classes))
        self.register_buffer("class_weights", class_weights(counts, recipe.imbalance))
        pixels = torch.ones(len(images.masked))
        if recipe.masks and recipe.masks.class_weights != "none":
            step = max(1, len(images) // COUNTED_IMAGES)
            seen = sum(images.marked(i).masks.sum((1, 2)) for i in range(0, len(images), step))
            how = recipe.imbalance.model_copy(update={"class_weights": recipe.masks.class_weights})
            pixels = class_weights(seen, how)
        self.register_buffer("pixel_weights", pixels)

    def forward(self, answer: Prediction, batch: Example) -> Tensor:
        """The loss of a batch, a scalar."""
        loss = self.label_loss(answer.logits, batch.target)
        if self.recipe.masks:
            loss = loss + self.recipe.masks.weight * self.mask_loss(answer.masks, batch)
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
        wanted = batch.masks.float()
        if masks.shape[2:] != wanted.shape[2:]:
            masks = functional.interpolate(
                masks.float(), size=wanted.shape[2:], mode="bilinear", align_corners=False
            )
        counts = batch.counts[:, None].float()
        if not counts.any():
            return masks.sum() * 0.0
        return sum(
            weight * LOSSES[name](masks.float(), wanted, counts, self.pixel_weights)
            for name, weight in self.recipe.masks.losses.items()
        )


def distil(teacher: nn.Module, images: Tensor, answer: Prediction) -> Tensor:
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
