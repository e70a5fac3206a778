"""A small fully convolutional network (Long et al. 2015, https://arxiv.org/abs/1411.4038).

Scores are made at strides 16, 8 and 4, each coarser one doubled and added to the finer one, and
the sum's scores are drawn bilinearly at full size: the baseline without a decoder.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from defectvision.models.blocks import double_block
from defectvision.models.segmenter import FeatureNet

WIDTHS = (16, 32, 64, 128, 256)


class FCN(FeatureNet):
    """Images (B, channels, H, W), sides multiples of 16, to features (B, width, H/4, W/4) and
    the bottleneck (B, D, H/16, W/16). The skip connections are sums."""

    stride = 16
    upscale = 4

    def __init__(self, channels: int, width: int = 32):
        super().__init__()
        self.down = nn.ModuleList(
            double_block(below, own)
            for below, own in zip((channels, *WIDTHS[:-1]), WIDTHS, strict=True)
        )
        self.halve = nn.MaxPool2d(2)
        self.score = nn.ModuleList(nn.Conv2d(own, width, 1) for own in WIDTHS[:1:-1])
        self.sum = nn.Identity()
        self.width = width

    @property
    def explained(self) -> nn.Module:
        return self.sum

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x, seen = self.down[0](image), []
        for block in self.down[1:]:
            x = block(self.halve(x))
            seen.append(x)
        total = self.score[0](seen[-1])
        for score, skip in zip(self.score[1:], (seen[-2], seen[-3]), strict=True):
            total = score(skip) + functional.interpolate(
                total, scale_factor=2.0, mode="bilinear", align_corners=False
            )
        return self.sum(total), x
