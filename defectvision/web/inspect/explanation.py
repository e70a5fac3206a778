"""The heatmap of the open image: of which class, and by which method.

The exact evidence comes with every inspection. Gradient methods need torch and the model's own
weights, which a machine on the plant floor need not have; torch is only imported when one is used.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import WEIGHTS_FILE, LoadedBundle
from defectvision.inference.heatmap import EXACT, Heatmap, evidence_heatmap, gradient_heatmap
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.preprocessing import prepare, read_image
from defectvision.settings import settings
from defectvision.web.open_image import OpenImage
from defectvision.web.session.work import Work
from defectvision.words import plain

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


def explanation(
    work: Work,
    loaded: LoadedBundle,
    policy: Policy,
    image: OpenImage,
    data: bytes,
) -> Heatmap:
    """The widgets that choose a class and a method, and that heatmap; the exact one, with a word on
    why, where the chosen one cannot be made of the image file `data`."""
    inspection = image.inspection
    class_name, method = _controls(inspection, policy, loaded)
    if method != EXACT:
        try:
            gradients = _gradients(work, loaded, image, data, class_name, method)
        except (BundleError, ImageError) as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            return gradient_heatmap(inspection, class_name, method, gradients, policy.zones)
    return evidence_heatmap(inspection, class_name, loaded.bundle.temperature, policy.zones)


def _controls(inspection: Inspection, policy: Policy, loaded: LoadedBundle) -> tuple[str, str]:
    """The class whose evidence is shown, and the method."""
    line = inspection.line
    chosen = st.selectbox(
        "Heatmap for",
        ["", *line.class_names],
        # A widget's texts must not change with the image: it would show the old one's.
        format_func=lambda name: line.title_of(name) if name else "The label",
        key=f"class-{line.name}",
        persist_state="session",
        filter_mode=None,
    )
    if missing := why_no_gradients(loaded):
        st.caption(missing)
        return chosen or inspection.main_class(policy), EXACT
    method = st.selectbox(
        "Explanation",
        [EXACT, *GRADIENT_METHODS],
        key="method",
        persist_state="session",
        filter_mode=None,
        help="The exact map adds up to the logit. The others come from gradients of the torch "
        "model, for comparison; they take longer. EigenCAM shows what the network looked at, "
        "whatever the class.",
    )
    return chosen or inspection.main_class(policy), method


def _gradients(
    work: Work,
    loaded: LoadedBundle,
    image: OpenImage,
    data: bytes,
    class_name: str,
    method: str,
) -> NDArray[np.float32]:
    """(h, w) map of a gradient method; raises BundleError or ImageError."""
    key = (image.digest, loaded.version, class_name, method)
    if key not in work.heatmaps:
        how = loaded.bundle.preprocessing
        pixels, size = read_image(
            data, image.inspection.name, how, settings().limits.pixels, loaded.line.bits
        )
        tensor, _ = prepare(pixels, how, size)
        index = loaded.line.class_names.index(class_name)
        work.heatmaps[key] = _explainer(loaded.version, loaded).explain(tensor, index, method)
    return work.heatmaps[key]


@st.cache_resource(max_entries=2, show_spinner="Loading the weights for gradient heatmaps")
def _explainer(version: str, _loaded: LoadedBundle) -> GradientExplainer:
    from defectvision.models.gradcam import GradientExplainer

    return GradientExplainer(_loaded)
