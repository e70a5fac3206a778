"""What the segmenting networks of this project are put together from."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

SLOPE = 0.1  # of LeakyReLU below zero

Block = Callable[[int, int, float], nn.Module]


def convolution(below: int, width: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, LeakyReLU; the size stays."""
    return nn.Sequential(
        nn.Conv2d(
            below, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def double_block(below: int, width: int, dropout: float = 0.0) -> nn.Sequential:
    """Two convolutions, the block of U-Net (Ronneberger et al. 2015)."""
    return nn.Sequential(
        convolution(below, width), nn.Dropout2d(dropout), convolution(width, width)
    )


class ResidualBlock(nn.Module):
    """Two convolutions added to their input (He et al. 2015, https://arxiv.org/abs/1512.03385),
    as in the residual U-Net of Zhang et al. 2017 (https://arxiv.org/abs/1711.10684)."""

    def __init__(self, below: int, width: int, dropout: float = 0.0):
        super().__init__()
        self.change = nn.Sequential(
            convolution(below, width),
            nn.Dropout2d(dropout),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.keep = (
            nn.Identity()
            if below == width
            else nn.Sequential(nn.Conv2d(below, width, 1, bias=False), nn.BatchNorm2d(width))
        )
        self.act = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, below, h, w) to (B, width, h, w)."""
        return self.act(self.change(x) + self.keep(x))
