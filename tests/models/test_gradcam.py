"""Gradient heatmaps come from the bundle's own weights, and agree with the exact evidence."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import LoadedBundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference.preprocessing import prepare
from tests.stand_ins.bundles import write_bundle

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_grad_cam")

from safetensors.torch import save_file  # noqa: E402

from defectvision.models import create_model  # noqa: E402
from defectvision.models.gradcam import METHODS, GradientExplainer  # noqa: E402

ARCHITECTURE = "multilabel_cnn"  # the smallest: what is tested holds for all


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = create_model(ARCHITECTURE, 2).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(parameter.half().float())
    return made


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, model) -> LoadedBundle:
    """The stand-in bundle with fresh weights of a real architecture beside it."""
    weights: Path = tmp_path_factory.mktemp("weights")
    folder = write_bundle(weights, "casting", "resnet50")
    halves = {
        k: v.half().contiguous() if v.is_floating_point() else v
        for k, v in model.state_dict().items()
    }
    save_file(halves, folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    found = load_bundle(weights, "casting")
    files = {**found.bundle.files, "model.safetensors": digest}
    changes = {"architecture": ARCHITECTURE, "files": files}
    return replace(found, bundle=found.bundle.model_copy(update=changes))


@pytest.fixture(scope="module")
def tensors(loaded: LoadedBundle) -> list[np.ndarray]:
    images = [draw("casting", "def", np.random.default_rng(seed), 200) for seed in range(2)]
    return [prepare(image, loaded.bundle.preprocessing)[0] for image in images]


@pytest.fixture(scope="module")
def explainer(loaded: LoadedBundle) -> GradientExplainer:
    return GradientExplainer(loaded)


def exact(model, tensor: np.ndarray, index: int) -> np.ndarray:
    """The positive evidence, drawn at the size of the input as grad-cam draws its maps."""
    with torch.no_grad():
        evidence = model(torch.from_numpy(tensor)[None]).evidence[0, index].numpy()
    return cv2.resize(np.maximum(evidence, 0), tensor.shape[:0:-1])


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_grad_cam_equals_the_positive_evidence(explainer, model, tensors, index: int) -> None:
    for tensor in tensors:
        found = explainer.explain(tensor, index, "Grad-CAM")
        wanted = exact(model, tensor, index)
        assert wanted.std() > 0
        assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] >= 0.99


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_map_of_the_input(explainer, tensors, method: str) -> None:
    found = explainer.explain(tensors[0], 1, method)
    assert found.shape == (224, 224) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() == pytest.approx(1, abs=1e-3)


def test_threads_get_their_own_maps(explainer, tensors) -> None:
    """A shared model with hooks silently mixes them up."""
    alone = [explainer.explain(t, 1, "Grad-CAM") for t in tensors]
    together: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        together[i] = explainer.explain(tensors[i % 2], 1, "Grad-CAM")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, found in together.items():
        assert np.allclose(found, alone[i % 2], atol=1e-5)


def test_what_is_wrong_is_named(loaded, explainer, tensors) -> None:
    with pytest.raises(ValueError, match="Grad-CAM, Grad-CAM"):
        explainer.explain(tensors[0], 0, "LIME")
    bare = loaded.bundle.model_copy(update={"files": {}})
    with pytest.raises(BundleError, match=r"no model\.safetensors"):
        GradientExplainer(replace(loaded, bundle=bare))
    other = loaded.bundle.model_copy(update={"architecture": "multioutput_cnn"})
    with pytest.raises(BundleError, match="does not fit architecture 'multioutput_cnn'"):
        GradientExplainer(replace(loaded, bundle=other))
