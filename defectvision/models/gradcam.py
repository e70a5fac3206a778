"""Heatmaps from gradients, by the grad-cam package, to hold against the exact evidence map.

The package hooks the model it is given, and a model that two threads share then silently answers
with the wrong map. So each explainer builds a model of its own and lets one thread in at a time.
"""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from defectvision.bundle.schema import LoadedBundle
from defectvision.models.trained import load_network

# Grad-CAM: Selvaraju et al. 2017; Grad-CAM++: Chattopadhay et al. 2018; HiResCAM: Draelos and
# Carin 2020; EigenCAM: Muhammad and Yeasin 2020 (it uses no gradient and knows no class).
METHODS: dict[str, type[BaseCAM]] = {
    "Grad-CAM": GradCAM,
    "Grad-CAM++": GradCAMPlusPlus,
    "HiResCAM": HiResCAM,
    "EigenCAM": EigenCAM,
}


class _Logits(nn.Module):
    """The model, answering with its logits alone."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image).logits


class GradientExplainer:
    """The torch model of one bundle, for gradient heatmaps only; any number of threads may call.

    Raises BundleError where the bundle has no usable weights.
    """

    def __init__(self, loaded: LoadedBundle):
        model = load_network(loaded)
        self._model = _Logits(model).eval()
        self._layer = model.explained
        self._lock = threading.Lock()

    def explain(
        self, tensor: NDArray[np.float32], class_index: int, method: str = "Grad-CAM"
    ) -> NDArray[np.float32]:
        """tensor (channels, H, W), one prepared image, to a (H, W) float32 map in 0..1.

        Raises ValueError with the known names for an unknown method.
        """
        if method not in METHODS:
            raise ValueError(f"unknown method '{method}'; known are: {', '.join(METHODS)}")
        image = torch.from_numpy(np.ascontiguousarray(tensor))[None]
        targets = [ClassifierOutputTarget(class_index)]
        with self._lock, METHODS[method](self._model, [self._layer]) as cam:
            return np.asarray(cam(image, targets)[0], np.float32)
