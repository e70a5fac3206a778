"""Classification and masks from one pass: a shared encoder, an exact evidence head, a U-Net
decoder (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597).
"""

from __future__ import annotations

from typing import Any, cast, get_args

import timm
from torch import Tensor, cat, nn
from torch.nn import functional

from defectvision.models.classifier import FeatureGrid, evidence_head, read_evidence
from defectvision.models.prediction import (
    Network,
    Pooling,
    SegmentingPrediction,
    Weighing,
    bias_of,
    check_mask_classes,
    mask_convolution,
    pad_to_multiple,
    weigh_by_label,
)

STRIDE = 32
GRID_STRIDE = 16  # of the evidence
# Channels of the decoder at strides 16, 8, 4 and 2: few where the picture is large, as a
# convolution there costs most. 1.2 M parameters on EfficientNet-Lite0.
WIDTHS = (160, 80, 40, 24)
WIDEST_SKIP = 256


class DecoderStage(nn.Module):
    """Doubles the coarse features' size, joins the skip connection, and mixes them twice."""

    def __init__(self, below: int, skip: int, width: int):
        super().__init__()
        self.mix = nn.Sequential(
            nn.Conv2d(below + skip, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """below (B, C, h, w) and skip (B, S, 2h, 2w) to (B, width, 2h, 2w)."""
        below = functional.interpolate(below, scale_factor=2.0, mode="nearest")
        return self.mix(cat([below, skip], 1))


class MaskDecoder(nn.Module):
    """Features at strides 2 to 32, finest first, to features at `mask_stride`."""

    def __init__(self, channels: list[int], mask_stride: int):
        super().__init__()
        steps = {2: 4, 4: 3}[mask_stride]
        # Very wide features are narrowed first, or the first 3x3 kernel outweighs all the rest.
        self.narrow = nn.ModuleList(
            nn.Conv2d(c, WIDEST_SKIP, 1) if c > 2 * WIDEST_SKIP else nn.Identity()
            for c in reversed(channels)
        )
        sizes = [WIDEST_SKIP if c > 2 * WIDEST_SKIP else c for c in reversed(channels)]
        below = [sizes[0], *WIDTHS]
        self.stages = nn.ModuleList(
            DecoderStage(below[i], sizes[i + 1], WIDTHS[i]) for i in range(steps)
        )
        self.channels = WIDTHS[steps - 1]
        del self.narrow[steps + 1 :]

    def forward(self, features: list[Tensor]) -> Tensor:
        deepest, *skips = (
            narrow(x) for narrow, x in zip(self.narrow, reversed(features), strict=False)
        )
        for stage, skip in zip(self.stages, skips, strict=True):
            deepest = stage(deepest, skip)
        return deepest


class JointModel(Network):
    """Class logits with exact evidence, and masks, from the features of one timm backbone.

    The head of the labels reads the masks too, the strongest log-odds of each class within a
    place: what the pixels taught holds on new surfaces where labels alone do not. The loss of the
    labels does not reach the masks.

    mask_classes: numbers of the classes that have masks, in the order of the masks; all if None.
    mask_stride: 2 or 4, px of the input per px of the masks.
    pooling: of the evidence, see `weigh_places`.
    weighing: how the finished model (in `eval` mode) weighs a mask by its class's probability in
        the picture, see `weigh_by_label`.
    """

    def __init__(
        self,
        backbone: str,
        classes: int,
        channels: int = 1,
        pooling: Pooling = "mean",
        drop_path: float = 0.0,
        mask_classes: tuple[int, ...] | None = None,
        mask_stride: int = 2,
        weighing: Weighing = "none",
    ):
        super().__init__()
        if mask_stride not in (2, 4):
            raise ValueError(f"mask_stride {mask_stride}: must be 2 or 4")
        if weighing not in get_args(Weighing):
            raise ValueError(f"weighing '{weighing}': must be {', '.join(get_args(Weighing))}")
        self.mask_classes = check_mask_classes(mask_classes, classes)
        self.mask_stride = mask_stride
        self.weighing = weighing
        self.backbone_name = backbone
        options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        network: Any = timm.create_model(
            backbone, features_only=True, in_chans=channels, pretrained=False, **options
        )
        # The name that its weights have in the bundles, which is the property's too.
        self._modules["backbone"] = network
        sizes = network.feature_info.channels()
        self.grid = FeatureGrid(None, (len(self.mask_classes), *sizes[-2:]))
        self.head = evidence_head(self.grid.channels, classes)
        self.pooling = pooling
        self.decoder = MaskDecoder(sizes, mask_stride)
        self.mask_head = mask_convolution(self.decoder.channels, len(self.mask_classes))

    @property
    def backbone(self) -> nn.Module:
        return cast(nn.Module, self._modules["backbone"])

    @property
    def explained(self) -> nn.Module:
        return self.grid

    @property
    def evidence_bias(self) -> Tensor:
        return bias_of(self.head)

    def forward(self, image: Tensor) -> SegmentingPrediction:
        """Any height and width; masks are (B, K, ceil(H / mask_stride), ceil(W / mask_stride)),
        the evidence covers the image padded to multiples of 32."""
        height, width = (-(-side // self.mask_stride) for side in image.shape[2:])
        features = self.backbone(pad_to_multiple(image, STRIDE))
        masks = self.mask_head(self.decoder(features)).float()
        strongest = functional.max_pool2d(masks.detach(), GRID_STRIDE // self.mask_stride)
        grid = self.grid((strongest, features[-2], features[-1]))
        logits, evidence = read_evidence(grid, self.head, self.pooling)
        masks = masks[:, :, :height, :width]
        if not self.training:
            masks = weigh_by_label(masks, logits, self.mask_classes, self.weighing)
        embedding = grid[:, -self.grid.deepest :].mean((2, 3))
        return SegmentingPrediction(logits, evidence, embedding, masks)
