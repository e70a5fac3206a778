"""U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) and its plain variants.

The encoder halves the picture four times; the decoder doubles it back and joins, at each size,
what the encoder saw there.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from defectvision.models.blocks import ResidualBlock, double_block
from defectvision.models.segmenter import FeatureNet

# 14.3 M parameters with the learned upsampling.
CLASSIC = (48, 96, 192, 384, 584)
BLOCKS = {"double": double_block, "residual": ResidualBlock}


class UNet(FeatureNet):
    """Images (B, channels, H, W), sides multiples of 16, to features (B, width, H, W) and the
    bottleneck (B, D, H/16, W/16).

    widths: channels from the full size down to the bottleneck; block: `double` or `residual`;
    upsampling: `learned` (2x2 transposed convolution) or `bilinear`;
    dropout: share of channels, in all blocks but the first and the last.
    """

    stride = 16
    upscale = 1

    def __init__(
        self,
        channels: int,
        widths: tuple[int, ...] = CLASSIC,
        block: Literal["double", "residual"] = "double",
        upsampling: Literal["learned", "bilinear"] = "learned",
        dropout: float = 0.0,
    ):
        super().__init__()
        make = BLOCKS[block]
        inner = [dropout] * (len(widths) - 1)
        self.down = nn.ModuleList(
            make(below, width, drop)
            for below, width, drop in zip(
                (channels, *widths[:-1]), widths, (0.0, *inner), strict=True
            )
        )
        self.halve = nn.MaxPool2d(2)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2)
            if upsampling == "learned"
            else nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            for below, width in pairs
        )
        self.up = nn.ModuleList(
            make((width if upsampling == "learned" else below) + width, width, drop)
            for (below, width), drop in zip(pairs, (*inner[1:], 0.0), strict=True)
        )
        self.width = widths[0]

    @property
    def explained(self) -> nn.Module:
        return self.up[-1]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        seen = [self.down[0](image)]
        for block in self.down[1:]:
            seen.append(block(self.halve(seen[-1])))
        x = bottleneck = seen.pop()
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([grow(x), seen.pop()], 1))
        return x, bottleneck
