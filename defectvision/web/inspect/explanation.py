"""Which heatmaps can be shown, and the one that was chosen.

The exact evidence comes with every inspection. Gradient methods need torch and the model's own
weights, which a machine on the plant floor need not have; torch is only imported when one is used.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING

import streamlit as st

from defectvision.bundle.schema import WEIGHTS_FILE, LoadedBundle
from defectvision.inference.heatmap import EXACT, Heatmap, evidence_heatmap, gradient_heatmap
from defectvision.inference.inspection import Inspection
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.settings import settings
from defectvision.web.state import Work

if TYPE_CHECKING:
    from defectvision.models.gradcam import GradientExplainer

GRADIENT_METHODS = ("Grad-CAM", "Grad-CAM++", "HiResCAM", "EigenCAM")
PACKAGES = ("torch", "pytorch_grad_cam", "timm", "safetensors")


def why_no_gradients(loaded: LoadedBundle) -> str:
    """What is missing for gradient methods; empty where nothing is. Imports none of it."""
    if any(find_spec(package) is None for package in PACKAGES):
        return (
            "Gradient heatmaps need torch and grad-cam: `pip install -r requirements.txt`. "
            "The exact map needs neither."
        )
    if WEIGHTS_FILE not in loaded.bundle.files:
        return (
            f"This bundle has no `{WEIGHTS_FILE}`, which gradient heatmaps need. Export it again."
        )
    return ""


def chosen_heatmap(
    work: Work,
    loaded: LoadedBundle,
    inspection: Inspection,
    picture: bytes,
    class_name: str,
    method: str,
) -> Heatmap:
    """The heatmap of `method` for one class of the image file `picture`; raises BundleError or
    ImageError."""
    if method == EXACT:
        return evidence_heatmap(inspection, class_name, loaded.bundle.temperature)
    key = (sha256(picture).hexdigest(), loaded.version, class_name, method)
    if key not in work.heatmaps:
        how = loaded.bundle.preprocessing
        image, size = read_image(picture, inspection.name, how, settings().limits.pixels)
        tensor, _ = prepare(image, how, size)
        index = loaded.line.class_names.index(class_name)
        work.heatmaps[key] = _explainer(loaded.version, loaded).explain(tensor, index, method)
    return gradient_heatmap(inspection, class_name, method, work.heatmaps[key])


@st.cache_resource(max_entries=2, show_spinner="Loading the weights for gradient heatmaps")
def _explainer(version: str, _loaded: LoadedBundle) -> GradientExplainer:
    from defectvision.models.gradcam import GradientExplainer

    return GradientExplainer(_loaded)
