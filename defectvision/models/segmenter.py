"""A segmenting network made to answer like every other model: masks, logits, exact evidence.

The network knows only pixels; what it says of the whole picture follows from them: the log-odds
of each class, averaged over cells of 16 px, are the evidence, and their weighted mean plus a
bias is the logit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from defectvision.models.prediction import (
    FIRST_PROBABILITY,
    Network,
    Pooling,
    SegmentingPrediction,
    bias_of,
    check_mask_classes,
    mask_convolution,
    pad_to_multiple,
    weigh_places,
)

CELL = 16  # px of one place of the evidence


class FeatureNet(nn.Module):
    """From images (B, channels, H, W) to features (B, width, H/upscale, W/upscale) and the
    bottleneck (B, D, h, w).

    stride: what the sides of its input must be multiples of, itself a multiple of 16;
    backbone_name: timm's name of the network inside it, None where there is none.
    """

    stride: int
    upscale: int
    width: int
    backbone_name: str | None = None

    @property
    def explained(self) -> nn.Module:
        """The module whose output a gradient heatmap looks at."""
        raise NotImplementedError

    @property
    def backbone(self) -> nn.Module | None:
        """timm's network inside it."""
        return None


class Segmenter(Network):
    """Any net from images to features, with a 1x1 convolution for the scores of pixels.

    net(channels) makes the FeatureNet.
    activation: `sigmoid`, classes may overlap; or `softmax`, a pixel is background or one class,
        and the net has one more score, the background's, first. Either way the masks are each
        class's log-odds.
    mask_classes: numbers of the classes that have masks, all if None. The others (a good class)
        have evidence 0 everywhere, and their logit is their bias.
    pooling: see `weigh_places`.
    """

    def __init__(
        self,
        net: Callable[..., FeatureNet],
        classes: int,
        channels: int = 1,
        pooling: Pooling = "strongest",
        activation: Literal["sigmoid", "softmax"] = "sigmoid",
        mask_classes: tuple[int, ...] | None = None,
        **options: Any,
    ):
        super().__init__()
        if activation not in ("sigmoid", "softmax"):
            raise ValueError(f"activation '{activation}': must be sigmoid or softmax")
        self.mask_classes = check_mask_classes(mask_classes, classes)
        self.classes = classes
        self.activation = activation
        self.pooling = pooling
        self.net = net(channels, **options)
        masks = len(self.mask_classes)
        if activation == "sigmoid":
            self.head = mask_convolution(self.net.width, masks)
        else:
            self.head = mask_convolution(self.net.width, masks + 1)
            rest = 1 - min(masks * FIRST_PROBABILITY, 0.5)
            shares = torch.tensor([rest, *[(1 - rest) / masks] * masks])
            with torch.no_grad():
                bias_of(self.head).copy_(shares.log())
        self.bias = nn.Parameter(torch.zeros(classes))
        self.backbone_name = self.net.backbone_name

    @property
    def backbone(self) -> nn.Module | None:
        return self.net.backbone

    @property
    def explained(self) -> nn.Module:
        return self.net.explained

    @property
    def evidence_bias(self) -> Tensor:
        return self.bias

    def forward(self, image: Tensor) -> SegmentingPrediction:
        """Any height and width; masks are (B, K, H, W), the evidence covers the image padded to
        multiples of the net's stride."""
        features, bottleneck = self.net(pad_to_multiple(image, self.net.stride))
        scores = self.head(features).float()
        if self.net.upscale > 1:
            scores = functional.interpolate(
                scores, scale_factor=float(self.net.upscale), mode="bilinear", align_corners=False
            )
        masks = scores if self.activation == "sigmoid" else log_odds(scores)
        cells = functional.avg_pool2d(masks, CELL)
        evidence = self._by_class(weigh_places(cells, self.pooling))
        logits = evidence.mean((2, 3)) + self.bias
        masks = masks[:, :, : image.shape[2], : image.shape[3]]
        return SegmentingPrediction(logits, evidence, bottleneck.mean((2, 3)), masks)

    def _by_class(self, cells: Tensor) -> Tensor:
        """cells (B, K, h, w) of the classes with masks to (B, C, h, w), 0 for the others."""
        if self.mask_classes == tuple(range(self.classes)):
            return cells
        nothing = torch.zeros_like(cells[:, :1])
        found = {c: cells[:, k : k + 1] for k, c in enumerate(self.mask_classes)}
        return torch.cat([found.get(c, nothing) for c in range(self.classes)], 1)


def log_odds(scores: Tensor) -> Tensor:
    """Softmax scores (B, 1 + K, H, W), background first, to the log-odds (B, K, H, W) of each
    class against all else: z_k - log(sum of exp(z_j), j != k)."""
    total = scores.shape[1]
    rest = [
        torch.cat([scores[:, :k], scores[:, k + 1 :]], 1).logsumexp(1, keepdim=True)
        for k in range(1, total)
    ]
    return scores[:, 1:] - torch.cat(rest, 1)
