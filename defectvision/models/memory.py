"""A network that remembers what good parts look like, and measures how far a part is from that.

Features of a pretrained encoder at two or more strides, averaged with their neighbours, describe
every place of a picture; a memory holds such descriptions of good parts; the distance of a place to
the nearest remembered one is how much it deviates (PatchCore, Roth et al. 2022,
https://arxiv.org/abs/2106.08265). The memory is a convolution, so that whatever serves a bundle
serves this one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from defectvision.models.prediction import (
    Network,
    SegmentingPrediction,
    bias_of,
    pad_to_multiple,
)

STRIDES = (8, 16, 32)
FINE = 16  # px, the coarsest stride whose features say where a deviation is
HEEDED = 4.0  # how sharply the head heeds the farthest places, a standard deviation
LEAST_SPREAD = 1e-6
GOOD, DEVIATION = 0, 1  # the classes of a line that knows no more than these, in its order


class PlaceFeatures(nn.Module):
    """What describes each place of a picture: the encoder's features at `strides`, each averaged
    with its eight neighbours, joined on the finest grid."""

    def __init__(self, backbone: str, channels: int, strides: Sequence[int]):
        super().__init__()
        self.strides = tuple(sorted(strides))
        encoder: Any = timm.create_model(
            backbone,
            features_only=True,
            out_indices=tuple(int(math.log2(stride)) - 1 for stride in self.strides),
            in_chans=channels,
            pretrained=False,
        )
        self.encoder: nn.Module = encoder
        widths = encoder.feature_info.channels()
        self.channels, self.deepest = sum(widths), widths[-1]
        self.fine = sum(w for w, stride in zip(widths, self.strides, strict=True) if stride <= FINE)

    def forward(self, image: Tensor) -> Tensor:
        """image (B, channels, H, W) to (B, D, h, w) on the finest stride, the deepest last."""
        rows, columns = (-(-side // self.strides[0]) for side in image.shape[2:])
        features = self.encoder(pad_to_multiple(image, self.strides[-1]))
        averaged = [functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) for x in features]
        size = averaged[0].shape[2:]
        joined = [
            averaged[0],
            *(functional.interpolate(x, size=size, mode="bilinear") for x in averaged[1:]),
        ]
        return torch.cat(joined, 1)[:, :, :rows, :columns]


class PatchMemory(Network):
    """Good or deviating, by the distance of each place to the nearest one that is remembered, and
    where there are more classes, which known defect it is.

    vectors: how many places are remembered; strides: of the features; mask_classes: the class that
    deviates, always. The first class is the good one, and all others are defects with a name: their
    log-odds are a deviation's and those that a linear head reads from what describes the places,
    weighted by how far each is from anything remembered: the memory says where, the head what.

    The evidence of a deviation is the distance of each place, weighted by a softmax of the
    distances themselves, so that the strongest places decide. The mask is where the distance is
    unusual for a good picture, and that of the features at strides up to FINE, which know their
    place, is unusual for a place. All are scaled so that 0 means the same on every line, see
    `training/good_parts.py`. Until its buffers are filled there it knows nothing.
    """

    memory: Tensor
    scale: Tensor
    sharpness: Tensor
    score: Tensor
    mask: Tensor
    fine: Tensor

    def __init__(
        self,
        backbone: str,
        classes: int = 2,
        channels: int = 1,
        vectors: int = 1000,
        strides: Sequence[int] = STRIDES,
        mask_classes: tuple[int, ...] | None = (DEVIATION,),
    ):
        super().__init__()
        deviating = (DEVIATION,) if mask_classes is None else tuple(mask_classes)
        if classes < 2 or len(deviating) != 1 or not GOOD < deviating[0] < classes:
            raise ValueError(
                "a memory of good parts knows good and deviating ones, then defects by name; its "
                f"mask is of the class that deviates: not {classes} classes with masks of "
                f"{list(deviating)}"
            )
        self.backbone_name = backbone
        self.places = PlaceFeatures(backbone, channels, strides)
        self.mask_stride = self.places.strides[0]
        width = self.places.channels
        self.register_buffer("memory", torch.zeros(vectors, width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("sharpness", torch.ones(()))
        # Factor and shift, from distances to log-odds: of the part, of a place, of a fine one.
        for name in ("score", "mask", "fine"):
            self.register_buffer(name, torch.tensor([1.0, 0.0]))
        # Of each defect; zero for what deviates and has no name.
        self.head = nn.Conv2d(width, classes - 1, 1) if classes > 2 else None

    @property
    def backbone(self) -> nn.Module | None:
        return self.places.encoder

    @property
    def explained(self) -> nn.Module:
        return self.places

    @property
    def evidence_bias(self) -> Tensor:
        shift = self.score[1:]
        defects = shift if self.head is None else shift + bias_of(self.head)
        return torch.cat([torch.zeros_like(shift), defects])

    def distances(self, described: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """described (B, D, h, w) as `places` gives it to two of (B, 1, h, w): each place's distance
        to the nearest of `memory` (K, D), its own by default, by all features and by the fine ones,
        averaged with its neighbours."""
        kept = self.memory if memory is None else memory
        scaled = described * self.scale[:, None, None]
        fine = self.places.fine
        return _nearest(scaled, kept), _nearest(scaled[:, :fine], kept[:, :fine])

    def weighed(self, distance: Tensor) -> Tensor:
        """distance (B, 1, h, w) to the map whose plain mean is the strongest places' distance."""
        flat = distance.flatten(2)
        weights = flat.shape[2] * (self.sharpness * flat).softmax(2)
        return (flat * weights).reshape(distance.shape)

    def shares(self, distance: Tensor) -> Tensor:
        """distance (B, 1, h, w) to how much each place counts for the head, 1 in the mean: by the
        softmax of how many standard deviations of the picture it lies above its mean."""
        flat = distance.flatten(2)
        above = flat - flat.mean(2, keepdim=True)
        above = above / above.square().mean(2, keepdim=True).sqrt().clamp_min(LEAST_SPREAD)
        return (flat.shape[2] * (HEEDED * above).softmax(2)).reshape(distance.shape)

    def forward(self, image: Tensor) -> SegmentingPrediction:
        described = self.places(image)
        distance, fine = self.distances(described)
        deviating = self.score[0] * self.weighed(distance)
        defects = deviating
        if self.head is not None:
            named = functional.conv2d(described, self.head.weight)
            defects = deviating + named * self.shares(distance)
        evidence = torch.cat([torch.zeros_like(deviating), defects], 1)
        return SegmentingPrediction(
            evidence.mean((2, 3)) + self.evidence_bias,
            evidence,
            described[:, -self.places.deepest :].mean((2, 3)),
            torch.minimum(
                self.mask[0] * distance + self.mask[1], self.fine[0] * fine + self.fine[1]
            ),
        )


def _nearest(scaled: Tensor, kept: Tensor) -> Tensor:
    """(B, 1, h, w), the distance of each place (B, D, h, w) to the nearest of `kept` (K, D)."""
    products = functional.conv2d(scaled, -2 * kept[:, :, None, None], kept.square().sum(1))
    nearest = products.amin(1, keepdim=True) + scaled.square().sum(1, keepdim=True)
    distance = nearest.clamp_min(0).sqrt()
    return functional.avg_pool2d(distance, 3, 1, 1, count_include_pad=False)
