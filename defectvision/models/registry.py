"""The architectures that can be named in a recipe or a bundle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from defectvision.models.classifier import EvidenceClassifier

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "resnet50": partial(EvidenceClassifier, "resnet50"),
    "efficientnet_lite0": partial(EvidenceClassifier, "tf_efficientnet_lite0"),
}


def create_model(architecture: str, classes: int, channels: int = 1, **options) -> nn.Module:
    """A model with fresh weights; `options` are the architecture's own (pooling, drop_path).

    Raises ValueError with the known names for an unknown one.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"unknown architecture '{architecture}'; known are: {known}")
    return ARCHITECTURES[architecture](classes=classes, channels=channels, **options)
