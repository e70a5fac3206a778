"""int8 where it loses nothing that matters, on a line trained from drawn samples."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.evaluation.kept import UNSEEN
from defectvision.evaluation.seen import how_seen
from defectvision.inference.inspector import Inspector
from defectvision.inference.runtime import OnnxRuntime
from defectvision.limits import PIXELS
from defectvision.training import quantize
from defectvision.training.pipeline import train_line
from defectvision.training.quantize import quantize_bundle
from defectvision.training.recipe import load_recipe

RECIPE = """
architecture: fcn
preprocessing: {height: 64, width: 64, fit: letterbox}
split: {train: 0.5, val: 0.25, test: 0.25}
masks: {losses: {bce_dice: 1.0}}
epochs: 2
batch_size: 8
learning_rate: 0.003
precision: fp32
tracking: none
"""
pytestmark = pytest.mark.slow  # each needs a trained line; the fixture is made once


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("line")
    write_samples("magnetic-tile", folder / "samples", per_class=8, seed=2, size=120)
    file = folder / "given.yaml"
    file.write_text(RECIPE)
    images = open_set(folder / "samples", PIXELS)
    train_line(
        images, load_recipe(file), RECIPE, "tile", "tiny", folder / "weights", folder / "run"
    )
    return folder / "weights", images


@pytest.fixture
def weights(trained, tmp_path):
    return shutil.copytree(trained[0], tmp_path / "weights")


@pytest.fixture(scope="module")
def quantized(trained, tmp_path_factory):
    weights = shutil.copytree(trained[0], tmp_path_factory.mktemp("int8") / "weights")
    return weights, quantize_bundle(weights, "tile", "tiny", trained[1], allowed=1.0)[0]


def test_a_quantised_bundle_serves_and_says_what_it_cost(trained, quantized):
    weights, found = quantized
    before = load_bundle(trained[0], "tile")
    assert found.kept
    assert set(found.before) == {"auc", "macro_f1", "mean_iou", "calibration_error"}
    assert found.evidence_correlation > 0.8
    loaded = load_bundle(weights, "tile")  # checks all hashes
    assert loaded.bundle.precision == "int8"
    assert loaded.version != before.version
    small, large = ((x.folder / "model.onnx").stat().st_size for x in (loaded, before))
    assert small < 0.8 * large
    kinds = {node.op_type for node in onnx.load(loaded.folder / "model.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    said = loaded.bundle.provenance["quantization"]
    assert said["before"] == found.before
    (metrics,) = loaded.bundle.metrics  # those of the fp32 model are gone
    assert metrics.values["auc"].value == found.after["auc"]
    card = (loaded.folder / "README.md").read_text()
    assert "int8 against fp32, images of photo groups never seen" in card
    assert "Computed in int8" in card


def test_evidence_still_adds_up_and_both_runtimes_agree(trained, quantized):
    images = trained[1]
    loaded = load_bundle(quantized[0], "tile")
    models = [
        Inspector(loaded, PIXELS),
        Inspector(loaded, PIXELS, OnnxRuntime(loaded.folder / "model.onnx")),
    ]
    unseen = np.flatnonzero(np.array(how_seen(images, loaded.folder)) == UNSEEN)[:4]
    for row in unseen:
        path = images.catalog.image_path(int(row))
        a, b = (model.inspect(path.read_bytes(), path.name) for model in models)
        total = a.evidence.mean((1, 2)) + a.evidence_bias
        assert np.abs(total - a.logits).max() < 1e-3
        # a rounding of int8 may fall to the other side in another runtime
        assert max(abs(a.probabilities[n] - b.probabilities[n]) for n in a.probabilities) < 0.05


def test_a_model_that_got_worse_is_not_installed(trained, weights, monkeypatch):
    def worse(graph, *_):
        head = next(t for t in graph.graph.initializer if t.name.endswith("head.weight"))
        values = numpy_helper.to_array(head)
        head.CopyFrom(numpy_helper.from_array(np.zeros_like(values), head.name))
        return graph

    monkeypatch.setattr(quantize, "_search", worse)
    before = json.loads((weights / "tile/tiny/bundle.json").read_text())
    found, _ = quantize_bundle(weights, "tile", "tiny", trained[1])
    assert not found.kept
    assert json.loads((weights / "tile/tiny/bundle.json").read_text()) == before
    load_bundle(weights, "tile")


def test_it_wants_the_bundles_own_set_and_a_bundle_in_fp32(trained, weights, tmp_path):
    write_samples("magnetic-tile", tmp_path / "others", per_class=8, seed=3, size=120)
    with pytest.raises(CatalogError, match="is not the set"):
        quantize_bundle(weights, "tile", "tiny", open_set(tmp_path / "others", PIXELS))
    file = weights / "tile/tiny/bundle.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"precision": "int8"}))
    with pytest.raises(BundleError, match="in int8 already"):
        quantize_bundle(weights, "tile", "tiny", trained[1])
