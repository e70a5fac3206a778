"""A classifier whose logits are, place by place, the sum of what it saw.

Features at strides 16 and 32 are brought to one grid; a 1x1 convolution turns every place of it
into one number per class, the evidence; the logit is the evidence's weighted mean plus a bias.
Nothing non-linear follows, so the evidence map explains the logit exactly. With the plain mean
it is the class activation map of Zhou et al. 2016 (https://arxiv.org/abs/1512.04150) and equals
Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) up to a positive factor.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

Pooling = Literal["mean", "strongest"]


class Prediction(NamedTuple):
    """logits: (B, C) float32; evidence: (B, C, h, w), whose mean over places plus the bias is
    the logit; embedding: (B, D), the mean of the deepest features."""

    logits: Tensor
    evidence: Tensor
    embedding: Tensor


class FeatureGrid(nn.Module):
    """The backbone's features at strides 16 and 32, normalised and joined on the finer grid."""

    def __init__(self, backbone: nn.Module, channels: tuple[int, int]):
        super().__init__()
        self.backbone = backbone
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.channels = sum(channels)
        self.deepest = channels[1]

    def forward(self, image: Tensor) -> Tensor:
        """image (B, channels, H, W) to the joined grid (B, D, H/16, W/16), the deepest last."""
        middle, deep = self.backbone(image)
        deep = functional.interpolate(self.norms[1](deep), size=middle.shape[2:], mode="nearest")
        return torch.cat([self.norms[0](middle), deep], 1)


class EvidenceClassifier(nn.Module):
    """Backbone of timm, joined feature grid, one linear unit per class and place.

    pooling:
        mean       every place counts the same;
        strongest  half of a logit is the mean, the other half the mean weighted by the softmax
                   of the evidence itself, so that a defect of one cell is not averaged away.
                   The weights are multiplied into the map: its mean plus the bias stays exact.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        channels: int = 1,
        pooling: Pooling = "mean",
        drop_path: float = 0.0,
    ):
        super().__init__()
        network = timm.create_model(
            backbone,
            features_only=True,
            out_indices=(3, 4),
            in_chans=channels,
            pretrained=False,
            **({"drop_path_rate": drop_path} if drop_path else {}),
        )
        self.grid = FeatureGrid(network, tuple(network.feature_info.channels()))
        self.head = nn.Conv2d(self.grid.channels, classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        self.pooling = pooling

    def forward(self, image: Tensor) -> Prediction:
        grid = self.grid(image)
        embedding = grid[:, -self.grid.deepest :].mean((2, 3))
        evidence = functional.conv2d(grid, self.head.weight).float()
        if self.pooling == "strongest":
            flat = evidence.flatten(2)
            weights = 0.5 + 0.5 * flat.shape[2] * flat.softmax(2)
            evidence = (flat * weights).reshape(evidence.shape)
        return Prediction(evidence.mean((2, 3)) + self.head.bias, evidence, embedding)
