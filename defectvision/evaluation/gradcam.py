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
from safetensors.torch import load_file
from torch import Tensor, nn

from defectvision.inference.bundle import BundleError, LoadedBundle, check_file

# Grad-CAM: Selvaraju et al. 2017; Grad-CAM++: Chattopadhay et al. 2018; HiResCAM: Draelos and
# Carin 2020; EigenCAM: Muhammad and Yeasin 2020 (it uses no gradient and knows no class).
METHODS: dict[str, type[BaseCAM]] = {
    "Grad-CAM": GradCAM,
    "Grad-CAM++": GradCAMPlusPlus,
    "HiResCAM": HiResCAM,
    "EigenCAM": EigenCAM,
}
WEIGHTS = "model.safetensors"


class _Logits(nn.Module):
    """The model, answering with its logits alone."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image).logits


def load_model(loaded: LoadedBundle) -> nn.Module:
    """The torch model of a bundle, in fp32; raises BundleError where it has no usable weights."""
    # Only here: evaluation otherwise needs no model code.
    from defectvision.models import create_model

    bundle = loaded.bundle
    wanted = bundle.files.get(WEIGHTS)
    if wanted is None:
        raise BundleError(f"{loaded.folder}: has no {WEIGHTS}. Export the bundle again")
    check_file(loaded.folder, WEIGHTS, wanted)
    options = dict(bundle.options)
    if bundle.pooling != "mean":
        options["pooling"] = bundle.pooling
    if bundle.mask_classes:
        options["mask_classes"] = tuple(bundle.classes.index(n) for n in bundle.mask_classes)
    try:
        model = create_model(
            bundle.architecture, len(bundle.classes), bundle.preprocessing.channels, **options
        )
        weights = load_file(loaded.folder / WEIGHTS)
        model.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
        )
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"{loaded.folder / WEIGHTS}: does not fit architecture '{bundle.architecture}' "
            f"({error}). Export the bundle again"
        ) from error
    return model.eval()


class GradientExplainer:
    """The torch model of one bundle, for gradient heatmaps only; any number of threads may call.

    Raises BundleError where the bundle has no usable weights.
    """

    def __init__(self, loaded: LoadedBundle):
        model = load_model(loaded)
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
