"""Lines that segment, from drawn samples to a bundle that serves masks."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from defectvision.bundle.reader import load_bundle
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.evaluation.operating_point import SMALLEST_REGIONS
from defectvision.inference.images import decode_image
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.limits import PIXELS
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import Recipe, load_recipe
from defectvision.training.task import fresh_network

TILE = """
architecture: joint_efficientnet_lite0
pooling: strongest
options: {weighing: softmax}
pretrained: auto
preprocessing: {height: 64, width: 64, fit: letterbox}
split: {train: 0.5, val: 0.25, test: 0.25}
augmentation: {upside_down: true, paste: 0.2}
masks: {losses: {bce_dice: 1.0}, class_weights: effective}
schedule: {kind: plateau, patience: 0}
epochs: 3
batch_size: 8
learning_rate: 0.003
"""
STRIP = """
caution: "**Few-shot.**"
architecture: fcn
options: {activation: softmax, width: 8}
preprocessing: {height: 32, width: 192, fit: stretch}
split: {folds: 3}
augmentation: {crop: [1.0, 0.5], on_defect: 0.5}
masks: {losses: {dice_nll: 1.0}}
schedule: {kind: one_cycle}
epochs: 1
batch_size: 8
tracking: none
"""


def _train(folder, text, line, samples):
    file = folder / "given.yaml"
    file.write_text(text)
    run, weights = folder / "run", folder / "weights"
    result = train_line(
        open_set(samples, PIXELS), load_recipe(file), text, line, "tiny", weights, run
    )
    return weights, run, result.metrics


@pytest.fixture(scope="module")
def tile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tile")
    write_samples("magnetic-tile", folder / "samples", per_class=8, seed=2, size=120)
    return *_train(folder, TILE, "magnetic-tile", folder / "samples"), folder / "samples"


@pytest.fixture(scope="module")
def strip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strip")
    write_samples("severstal-strip", folder / "samples", per_class=6, seed=2, size=64)
    samples = folder / "samples"
    # One strip that shows two classes makes the line a multilabel one. One mask holds both, so the
    # masks number their classes.
    for file in (samples / "masks").rglob("*.png"):
        numbered = np.asarray(Image.open(file)) // 255 * int(file.parent.name)
        if file.name == "1_0000.png":
            numbered[:12, :40] = 2
        Image.fromarray(numbered).save(file)
    (samples / "classes.csv").write_text("1,1\n2,2\n3,3\n4,4\n")
    index = samples / "index.csv"
    rows = index.read_text(encoding="utf-8")
    both = rows.replace("1/1_0000.png,1,", "1/1_0000.png,1|2,")
    assert both != rows
    index.write_text(both, encoding="utf-8")
    return *_train(folder, STRIP, "severstal-strip", samples), samples


@pytest.mark.slow
def test_masks_are_learned_served_and_measured(tile):
    weights, run, metrics, _ = tile
    bundle = load_bundle(weights, "magnetic-tile").bundle
    assert bundle.mask_classes == ("blowhole", "break", "crack", "fray", "uneven")
    assert set(bundle.policy.mask_thresholds) == set(bundle.mask_classes)
    assert bundle.policy.smallest_region_px in SMALLEST_REGIONS
    for name in ("mean_iou", "iou/crack", "dice/crack", "detection/crack", "mean_dice", "auc"):
        assert metrics.values[name] is not None, name
    rows = [json.loads(row) for row in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert list((run / "tracking").glob("events*")), "no TensorBoard events"
    *_, last = json.loads((run / "examples.json").read_text())
    assert last["masks"] and len({one["truth"] for one in last["images"]}) == 4
    pictures = [
        decode_image((run / "examples" / one["file"]).read_bytes(), "example", PIXELS)
        for one in last["images"]
    ]
    assert {p.shape for p in pictures} == {(64, 132, 3)}
    assert all((p[:, :64] != p[:, 68:]).any() for p in pictures)  # drawn beside found
    card = (weights / "magnetic-tile/tiny/README.md").read_text()
    assert "| IoU, class crack |" in card
    assert "each weighed by the probability of its class in the picture" in card


@pytest.mark.slow
def test_served_masks_equal_torch(tile):
    weights, _, _, samples = tile
    loaded = load_bundle(weights, "magnetic-tile")
    recipe = Recipe.model_validate({**loaded.bundle.provenance["recipe"]})
    model = fresh_network(recipe, loaded.line)
    halves = load_file(loaded.folder / "model.safetensors")
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in halves.items()})
    model.eval()
    file = sorted(samples.rglob("crack_*.png"))[0]
    found = Inspector(loaded, PIXELS).inspect(file.read_bytes(), file.name)
    tensor, _ = prepare(
        decode_image(file.read_bytes(), file.name, PIXELS), loaded.bundle.preprocessing
    )
    with torch.inference_mode():
        answer = model(torch.from_numpy(tensor)[None])
    assert np.abs(answer.logits[0].numpy() - found.logits).max() < 1e-3
    wanted = torch.sigmoid(answer.masks[0]).numpy() * 255
    assert found.masks.shape == wanted.shape
    assert np.abs(wanted - found.masks).max() < 1.5
    total = found.evidence.mean((1, 2)) + found.evidence_bias
    assert np.abs(total - found.logits).max() < 1e-3


@pytest.mark.slow
def test_few_strips_are_cross_validated(strip):
    weights, run, metrics, samples = strip
    loaded = load_bundle(weights, "severstal-strip")
    assert loaded.line.label_mode == "multilabel"
    assert loaded.line.class_names == ("1", "2", "3", "4")
    assert metrics.split.startswith("3-fold cross-validation")
    assert metrics.images == len(open_set(samples, PIXELS).catalog)
    assert not metrics.seen
    assert set(loaded.bundle.policy.class_thresholds) == set(loaded.line.class_names)
    assert metrics.values["mean_dice_empty"] is not None
    assert sorted(p.name for p in run.glob("fold-*")) == ["fold-0", "fold-1", "fold-2"]
    card = (loaded.folder / "README.md").read_text()
    assert card.index("Few-shot") < card.index("## Trained on")
    assert "| train | no defect | " in card
    assert "| 1, 2 | 1 |" in card  # the separator of labels would end a table's cell


def test_a_recipe_of_masks_refuses_a_set_without(tmp_path):
    write_samples("neu-surface", tmp_path / "samples", per_class=2, seed=1)
    with pytest.raises(ValueError, match="has no masks"):
        _train(tmp_path, TILE, "x", tmp_path / "samples")
