"""What every model answers, and what it tells about itself."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["mean", "strongest"]
Weighing = Literal["none", "softmax", "sigmoid"]
LEAST_PROBABILITY = 1e-6

# Masks start by calling few pixels defective, so that the first steps need not unlearn a picture
# full of defects (Lin et al. 2017, https://arxiv.org/abs/1708.02002, section 3.3). Not as few as
# there: from 0.01 on, and with weights near 0, large regions stayed unlearned for 60 steps.
FIRST_PROBABILITY = 0.1
FIRST_LOG_ODDS = math.log(FIRST_PROBABILITY / (1 - FIRST_PROBABILITY))


class Prediction(NamedTuple):
    """logits: (B, C) float32; evidence: (B, C, h, w), whose mean over places plus the bias is
    the logit; embedding: (B, D), the mean of the deepest features."""

    logits: Tensor
    evidence: Tensor
    embedding: Tensor


class SegmentingPrediction(NamedTuple):
    """A Prediction with masks (B, K, H', W') float32: for each class that has masks the log-odds
    of every pixel, on a grid of constant stride over the whole input."""

    logits: Tensor
    evidence: Tensor
    embedding: Tensor
    masks: Tensor


class Network(nn.Module):
    """A model of the registry: from images (B, channels, H, W) to a Prediction or, where it draws
    masks, a SegmentingPrediction.

    backbone_name: timm's name of the network inside it, None where there is none.
    """

    backbone_name: str | None = None

    @property
    def evidence_bias(self) -> Tensor:
        """(C,): evidence.mean((2, 3)) + evidence_bias is exactly the logits."""
        raise NotImplementedError

    @property
    def explained(self) -> nn.Module:
        """The module whose output a gradient heatmap looks at."""
        raise NotImplementedError

    @property
    def backbone(self) -> nn.Module | None:
        """timm's network inside it, to be filled with pretrained weights."""
        return None


def bias_of(convolution: nn.Conv2d) -> Tensor:
    """(C,) the bias of a convolution that has one."""
    assert convolution.bias is not None
    return convolution.bias


def weigh_places(evidence: Tensor, pooling: Pooling) -> Tensor:
    """evidence (B, C, h, w) of equal places to the map whose plain mean is the pooled answer.

    pooling:
        mean       every place counts the same;
        strongest  half of the answer is the mean, the other half the mean weighted by the
                   softmax of the evidence itself, so that a defect of one cell is not averaged
                   away. The weights are multiplied into the map, so its mean stays exact.
    """
    if pooling == "mean":
        return evidence
    flat = evidence.flatten(2)
    weights = 0.5 + 0.5 * flat.shape[2] * flat.softmax(2)
    return (flat * weights).reshape(evidence.shape)


def pad_to_multiple(image: Tensor, stride: int) -> Tensor:
    """image (B, C, H, W) with its last row and column repeated up to multiples of `stride`."""
    below, right = -image.shape[2] % stride, -image.shape[3] % stride
    if not below and not right:
        return image
    return functional.pad(image, (0, right, 0, below), mode="replicate")


def weigh_by_label(
    masks: Tensor, logits: Tensor, mask_classes: tuple[int, ...], weighing: Weighing
) -> Tensor:
    """masks (B, K, h, w) log-odds of a pixel's class where the picture holds it, and the logits
    (B, C) of the picture, to the log-odds of both: the product of the two probabilities.

    weighing: `none` leaves the masks, `softmax` is for a picture of one label, `sigmoid` of
    several.
    """
    if weighing == "none":
        return masks
    held = logits.sigmoid() if weighing == "sigmoid" else logits.softmax(1)
    held = held[:, list(mask_classes), None, None]
    return torch.logit(masks.sigmoid() * held, eps=LEAST_PROBABILITY)


def check_mask_classes(mask_classes: tuple[int, ...] | None, classes: int) -> tuple[int, ...]:
    """The classes that have masks, all where None; ValueError for numbers that are no class."""
    chosen = tuple(range(classes)) if mask_classes is None else tuple(mask_classes)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(classes)):
        raise ValueError(
            f"mask_classes {list(chosen)}: give different class numbers, from 0 to {classes - 1}"
        )
    return chosen


def mask_convolution(channels: int, masks: int) -> nn.Conv2d:
    """The 1x1 convolution that ends a segmenting network, starting at rare defects."""
    convolution = nn.Conv2d(channels, masks, 1)
    with torch.no_grad():
        bias_of(convolution).fill_(FIRST_LOG_ODDS)
    return convolution
