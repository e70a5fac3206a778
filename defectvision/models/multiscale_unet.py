"""A light U-Net whose blocks look at several fields of view at once.

A context stem of plain and dilated convolutions sees the surroundings of each place at full
size; encoder blocks fuse fields of view of 3, 5 and 7 px and add a residual; pooling averages,
which keeps thin defects that a maximum of texture would hide; the decoder moves channels into
places by pixel shuffle (Shi et al. 2016, https://arxiv.org/abs/1609.05158) and joins the skip
connections. About 6.5 M parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from defectvision.models.blocks import SLOPE, convolution, double_block
from defectvision.models.segmenter import FeatureNet

# Few channels where the picture is large, as a convolution there costs most.
WIDTHS = (16, 32, 96, 256, 464)


class ContextStem(nn.Module):
    """Plain 3x3 beside dilated ones (Yu and Koltun 2015, https://arxiv.org/abs/1511.07122),
    fused by 1x1 and added to the plain one."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.plain = convolution(channels, width)
        self.dilated = nn.ModuleList(convolution(width, width // 2, dilation=d) for d in (2, 4))
        self.fuse = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, width, H, W)."""
        plain = self.plain(image)
        wide = [look(plain) for look in self.dilated]
        return self.act(self.fuse(torch.cat([plain, *wide], 1)) + plain)


class MultiscaleBlock(nn.Module):
    """Fields of view of 3, 5 and 7 px by one, two and three 3x3 in a row, each taking up where
    the smaller one ends; their join, by 1x1, is added to the input."""

    def __init__(self, below: int, width: int, dropout: float = 0.0):
        super().__init__()
        parts = (width // 2, width // 4, width - width // 2 - width // 4)
        self.looks = nn.ModuleList(
            convolution(before, own)
            for before, own in zip((below, *parts[:-1]), parts, strict=True)
        )
        self.fuse = nn.Sequential(
            nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.keep = nn.Sequential(nn.Conv2d(below, width, 1, bias=False), nn.BatchNorm2d(width))
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, below, h, w) to (B, width, h, w)."""
        seen, look = [], x
        for step in self.looks:
            look = step(look)
            seen.append(look)
        return self.act(self.fuse(torch.cat(seen, 1)) + self.keep(x))


class Shuffle(nn.Module):
    """Doubles the size: four times the channels by 1x1, moved into 2x2 places."""

    def __init__(self, below: int, width: int):
        super().__init__()
        self.grow = nn.Sequential(
            nn.Conv2d(below, 4 * width, 1), nn.PixelShuffle(2), nn.LeakyReLU(SLOPE, inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, below, h, w) to (B, width, 2h, 2w)."""
        return self.grow(x)


class MultiscaleUNet(FeatureNet):
    """Images (B, channels, H, W), sides multiples of 16, to features (B, width, H, W) and the
    bottleneck (B, D, H/16, W/16). dropout: of all blocks but the first and the last."""

    stride = 16
    upscale = 1

    def __init__(self, channels: int, widths: tuple[int, ...] = WIDTHS, dropout: float = 0.1):
        super().__init__()
        self.stem = ContextStem(channels, widths[0])
        self.halve = nn.AvgPool2d(2)
        pairs = list(pairwise(widths))
        self.down = nn.ModuleList(
            MultiscaleBlock(below, width, dropout if i else 0.0)
            for i, (below, width) in enumerate(pairs)
        )
        back = [(below, width) for width, below in reversed(pairs)]
        self.grow = nn.ModuleList(Shuffle(below, width) for below, width in back)
        self.up = nn.ModuleList(
            double_block(2 * width, width, dropout if i < len(back) - 1 else 0.0)
            for i, (_, width) in enumerate(back)
        )
        self.width = widths[0]

    @property
    def explained(self) -> nn.Module:
        return self.up[-1]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        seen = [self.stem(image)]
        for block in self.down:
            seen.append(block(self.halve(seen[-1])))
        x = bottleneck = seen.pop()
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([grow(x), seen.pop()], 1))
        return x, bottleneck
