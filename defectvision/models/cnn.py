"""Two small networks for several labels at once, made for strips of 128x256 px.

Both end in exact evidence: a 1x1 convolution's answer at each place, whose weighted mean plus a
bias is the logit; a label's probability is the sigmoid of its own logit.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from defectvision.models.blocks import convolution, double_block
from defectvision.models.classifier import evidence_head, read_evidence
from defectvision.models.prediction import Network, Pooling, Prediction, bias_of, weigh_places

WIDTHS = (16, 32, 64, 128, 192)
HEAD_WIDTH = 48


def trunk(channels: int, dropout: float) -> nn.Sequential:
    """Image (B, channels, H, W) to features (B, 192, H/16, W/16)."""
    steps: list[nn.Module] = [convolution(channels, WIDTHS[0])]
    for below, width in pairwise(WIDTHS):
        # Sides that are odd keep their last row: the grid covers the whole picture.
        steps += [nn.MaxPool2d(2, ceil_mode=True), double_block(below, width)]
    return nn.Sequential(*steps, nn.Dropout2d(dropout))


class MultilabelCNN(Network):
    """One trunk, one head with an output per class; pooling: see `weigh_places`."""

    def __init__(
        self, classes: int, channels: int = 1, pooling: Pooling = "mean", dropout: float = 0.1
    ):
        super().__init__()
        self.trunk = trunk(channels, dropout)
        self.head = evidence_head(WIDTHS[-1], classes)
        self.pooling = pooling

    @property
    def explained(self) -> nn.Module:
        return self.trunk

    @property
    def evidence_bias(self) -> Tensor:
        return bias_of(self.head)

    def forward(self, image: Tensor) -> Prediction:
        features = self.trunk(image)
        logits, evidence = read_evidence(features, self.head, self.pooling)
        return Prediction(logits, evidence, features.mean((2, 3)))


class MultioutputCNN(Network):
    """One trunk, and for each class a head of its own, so that each can be trained with a loss of
    its own; pooling: see `weigh_places`."""

    def __init__(
        self, classes: int, channels: int = 1, pooling: Pooling = "mean", dropout: float = 0.1
    ):
        super().__init__()
        self.trunk = trunk(channels, dropout)
        self.heads = nn.ModuleList(
            nn.Sequential(
                convolution(WIDTHS[-1], HEAD_WIDTH),
                nn.Conv2d(HEAD_WIDTH, 1, 1, bias=False),
            )
            for _ in range(classes)
        )
        self.bias = nn.Parameter(torch.zeros(classes))
        self.pooling = pooling

    @property
    def explained(self) -> nn.Module:
        return self.trunk

    @property
    def evidence_bias(self) -> Tensor:
        return self.bias

    def forward(self, image: Tensor) -> Prediction:
        features = self.trunk(image)
        found = torch.cat([head(features) for head in self.heads], 1).float()
        evidence = weigh_places(found, self.pooling)
        return Prediction(evidence.mean((2, 3)) + self.bias, evidence, features.mean((2, 3)))
