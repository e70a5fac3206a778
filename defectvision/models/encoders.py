"""U-Net and FPN of segmentation-models-pytorch (https://github.com/qubvel-org) on timm encoders."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from defectvision.models.segmenter import FeatureNet

ENCODERS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50": "resnet50",
    "efficientnet_lite0": "tf_efficientnet_lite0",
}
DECODERS = {"unet": smp.Unet, "fpn": smp.FPN}


class EncodedNet(FeatureNet):
    """Images (B, channels, H, W), sides multiples of 32, to the decoder's features and the
    bottleneck (B, D, H/32, W/32). Features lie at full size (`unet`: Ronneberger et al. 2015) or
    at a quarter of it (`fpn`: Kirillov et al. 2019, https://arxiv.org/abs/1901.02446).

    encoder: timm's name.
    """

    stride = 32

    def __init__(self, channels: int, decoder: str, encoder: str, drop_path: float = 0.0):
        super().__init__()
        options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
        # The library's own name for timm's networks begins with `tu-`. No weights: these come
        # from training/pretrained.py or from a bundle, never from a download in a constructor.
        whole: Any = DECODERS[decoder](
            encoder_name=f"tu-{encoder}",
            encoder_weights=None,
            in_channels=channels,
            **options,
        )
        self.encoder = whole.encoder
        self.decoder = whole.decoder
        head = whole.segmentation_head[0]
        self.width = head.in_channels
        self.upscale = 4 if decoder == "fpn" else 1
        self.backbone_name = encoder

    @property
    def backbone(self) -> nn.Module:
        return self.encoder.model

    @property
    def explained(self) -> nn.Module:
        return self.decoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(image)
        return self.decoder(features), features[-1]
