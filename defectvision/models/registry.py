"""The architectures that can be named in a recipe or a bundle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from defectvision.models.classifier import EvidenceClassifier
from defectvision.models.cnn import MultilabelCNN, MultioutputCNN
from defectvision.models.encoders import DECODERS, ENCODERS, EncodedNet
from defectvision.models.fcn import FCN
from defectvision.models.joint import JointModel
from defectvision.models.memory import PatchMemory
from defectvision.models.multiscale_unet import MultiscaleUNet
from defectvision.models.prediction import Network
from defectvision.models.segmenter import Segmenter
from defectvision.models.unet import UNet


def _encoded(decoder: str, encoder: str) -> Callable[..., Network]:
    return partial(Segmenter, partial(EncodedNet, decoder=decoder, encoder=encoder))


ARCHITECTURES: dict[str, Callable[..., Network]] = {
    # one label, or several with a sigmoid each
    "resnet50": partial(EvidenceClassifier, "resnet50"),
    "efficientnet_lite0": partial(EvidenceClassifier, "tf_efficientnet_lite0"),
    "xception": partial(EvidenceClassifier, "legacy_xception", feature_cls="getter"),
    "multilabel_cnn": MultilabelCNN,
    "multioutput_cnn": MultioutputCNN,
    # labels and masks in one pass
    "joint_resnet50": partial(JointModel, "resnet50"),
    "joint_efficientnet_lite0": partial(JointModel, "tf_efficientnet_lite0"),
    # good or deviating, from good parts alone
    "memory_efficientnet_lite0": partial(PatchMemory, "tf_efficientnet_lite0"),
    # masks, and labels that follow from them
    "fcn": partial(Segmenter, FCN),
    "unet": partial(Segmenter, UNet),
    "unet_leaky": partial(
        Segmenter,
        partial(UNet, widths=(32, 64, 128, 256, 256), upsampling="bilinear", dropout=0.2),
    ),
    "residual_unet": partial(
        Segmenter, partial(UNet, widths=(32, 64, 128, 256, 512), block="residual")
    ),
    "multiscale_unet": partial(Segmenter, MultiscaleUNet),
    **{
        f"{decoder}_{name}": _encoded(decoder, encoder)
        for decoder in DECODERS
        for name, encoder in ENCODERS.items()
    },
}


def create_model(architecture: str, classes: int, channels: int = 1, **options: Any) -> Network:
    """A model with fresh weights; `options` are the architecture's own (pooling, drop_path).

    Raises ValueError with the known names for an unknown one.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"unknown architecture '{architecture}'; known are: {known}")
    return ARCHITECTURES[architecture](classes=classes, channels=channels, **options)
