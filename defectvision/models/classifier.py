"""A classifier whose logits are, place by place, the sum of what it saw.

Features at strides 16 and 32 are brought to one grid; a 1x1 convolution turns every place of it
into one number per class, the evidence; the logit is the evidence's weighted mean plus a bias.
Nothing non-linear follows, so the evidence map explains the logit exactly. With the plain mean
it is the class activation map of Zhou et al. 2016 (https://arxiv.org/abs/1512.04150) and equals
Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391) up to a positive factor.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from defectvision.models.prediction import Network, Pooling, Prediction, bias_of, weigh_places


class FeatureGrid(nn.Module):
    """Features at stride 16 and the backbone's deepest, at stride 32, normalised and joined on the
    finer grid.

    backbone: gives the two; None where the caller has them at hand and passes them in, with any
    others at stride 16 before them.
    """

    def __init__(self, backbone: nn.Module | None, channels: tuple[int, ...]):
        super().__init__()
        self.backbone = backbone
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in channels)
        self.channels = sum(channels)
        self.deepest = channels[-1]

    def forward(self, seen: Tensor | tuple[Tensor, ...]) -> Tensor:
        """An image (B, channels, H, W), or its features, to the joined grid (B, D, H/16, W/16),
        the deepest channels last."""
        features = seen if self.backbone is None else self.backbone(seen)
        *joined, deep = (norm(x) for norm, x in zip(self.norms, features, strict=True))
        deep = functional.interpolate(deep, size=joined[0].shape[2:], mode="nearest")
        return torch.cat([*joined, deep], 1)


def evidence_head(channels: int, classes: int) -> nn.Conv2d:
    """One linear unit per class and place, starting undecided."""
    head = nn.Conv2d(channels, classes, 1)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(bias_of(head))
    return head


def read_evidence(grid: Tensor, head: nn.Conv2d, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """Logits (B, C) and evidence (B, C, h, w), float32, that `head` reads from `grid`."""
    evidence = weigh_places(functional.conv2d(grid, head.weight).float(), pooling)
    return evidence.mean((2, 3)) + bias_of(head), evidence


class EvidenceClassifier(Network):
    """Backbone of timm, joined feature grid, one linear unit per class and place.

    pooling: `mean` or `strongest`, see `weigh_places`.
    feature_cls: how timm takes the features out, where its own choice for the backbone is hooks,
    which a copy or an export of the model may lose.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        channels: int = 1,
        pooling: Pooling = "mean",
        drop_path: float = 0.0,
        feature_cls: str | None = None,
    ):
        super().__init__()
        options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        if feature_cls:
            options["feature_cls"] = feature_cls
        network: Any = timm.create_model(
            backbone,
            features_only=True,
            out_indices=(3, 4),
            in_chans=channels,
            pretrained=False,
            **options,
        )
        self.backbone_name = backbone
        self.grid = FeatureGrid(network, tuple(network.feature_info.channels()))
        self.head = evidence_head(self.grid.channels, classes)
        self.pooling = pooling

    @property
    def backbone(self) -> nn.Module | None:
        # timm's getter holds the network itself; its other wrappers are the network.
        return getattr(self.grid.backbone, "model", self.grid.backbone)

    @property
    def explained(self) -> nn.Module:
        return self.grid

    @property
    def evidence_bias(self) -> Tensor:
        return bias_of(self.head)

    def forward(self, image: Tensor) -> Prediction:
        grid = self.grid(image)
        logits, evidence = read_evidence(grid, self.head, self.pooling)
        return Prediction(logits, evidence, grid[:, -self.grid.deepest :].mean((2, 3)))
