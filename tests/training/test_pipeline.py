"""One command from a folder of images to a line that serves, on samples drawn here."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from defectvision.bundle.reader import BundleError, load_bundle, read_line
from defectvision.bundle.schema import FINGERPRINTS_FILE
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.evaluation import gate, gate_images
from defectvision.evaluation.evaluate import labelled
from defectvision.evaluation.kept import UNSEEN, EvaluationError
from defectvision.evaluation.seen import digests_of, fingerprints_of, how_seen
from defectvision.inference.images import decode_image
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.inference.runtime import OnnxRuntime, OpenVinoRuntime
from defectvision.limits import PIXELS
from defectvision.models import create_model
from defectvision.training import loop, pipeline
from defectvision.training.new_line import line_for
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import RecipeError, load_recipe
from defectvision.training.task import TrainingTask

pytestmark = pytest.mark.slow  # each needs a trained line; the fixture is made once

# The smallest network: what is tested here does not depend on which one it is.
RECIPE = """
architecture: multilabel_cnn
pooling: strongest
preprocessing: {{height: 48, width: 48, fit: round_part}}
split: {{train: 0.5, val: 0.25, test: 0.25}}
epochs: {epochs}
batch_size: 8
learning_rate: 0.002
ema: 0.5
precision: fp32
tracking: none
"""
PRETRAINED = """
architecture: efficientnet_lite0
pretrained: auto
preprocessing: {height: 224, width: 224, fit: round_part}
split: {train: 0.5, val: 0.25, test: 0.25}
epochs: 3
batch_size: 8
learning_rate: 0.002
ema: 0.5
"""


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_samples("casting", folder, per_class=16, seed=5)
    return folder


def _train(samples, weights, run, epochs=1, recipe=RECIPE):
    text = recipe.format(epochs=epochs) if recipe is RECIPE else recipe
    run.mkdir(parents=True, exist_ok=True)
    file = run / "given.yaml"
    file.write_text(text)
    recipe = load_recipe(file)
    images = open_set(samples, PIXELS)
    return train_line(images, recipe, text, "casting", "tiny", weights, run).metrics


@pytest.fixture(scope="module")
def trained(samples, tmp_path_factory):
    weights = tmp_path_factory.mktemp("weights")
    run = tmp_path_factory.mktemp("run")
    metrics = _train(samples, weights, run, epochs=3)
    return weights, run, metrics


def test_line_is_complete_and_measured_on_images_held_out(samples, trained):
    weights, run, metrics = trained
    loaded = load_bundle(weights, "casting")
    assert [c.kind for c in loaded.line.classes] == ["ok", "defect"]
    assert loaded.bundle.metrics == (metrics,)
    assert not metrics.seen
    assert FINGERPRINTS_FILE in loaded.bundle.files
    assert len(fingerprints_of(loaded.folder)) == len(digests_of(loaded.folder))
    assert loaded.bundle.calibration is None  # of too few images held out to tell
    known = how_seen(open_set(samples, PIXELS), loaded.folder)
    assert metrics.images == known.count(UNSEEN)
    assert "| AUC |" in (loaded.folder / "README.md").read_text()
    rows = [json.loads(r) for r in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in rows] == [1, 2, 3]
    shown = json.loads((run / "examples.json").read_text())
    assert [s["epoch"] for s in shown] == [1, 2, 3]
    for one in shown[-1]["images"]:  # each of the validation images, as it is labelled
        assert one["truth"] == ("Def" if "def" in one["name"] else "Ok"), one
        assert one["right"] == (one["said"] == one["truth"]) and 0.5 <= one["probability"] <= 1
        assert (run / "examples" / one["file"]).read_bytes()[:4] == b"\x89PNG"
    told = json.loads((run / "result.json").read_text())
    assert (told["line"], told["bundle"], told["images"]) == ("casting", "tiny", 32)
    escapes = metrics.values["escapes"]
    assert f"escapes {100 * escapes.value:.1f} %" in told["promise"]


def test_the_gate_learns_from_other_sets_too(samples, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "FEWEST", 4)
    monkeypatch.setattr(gate_images, "MOST_DRAWN", 6)
    monkeypatch.setattr(gate_images, "MOST_CHANGED", 2)
    write_samples("magnetic-tile", tmp_path / "tiles", per_class=2, seed=1)
    tiles = open_set(tmp_path / "tiles", PIXELS)
    tiles.catalog.image_path(3).write_bytes(b"damaged")
    run = shutil.copytree(trained[1], tmp_path / "run")  # what is learned stays as it is
    text = (run / "given.yaml").read_text()
    found = train_line(
        open_set(samples, PIXELS), load_recipe(run / "given.yaml"), text, "casting", "gated",
        tmp_path / "weights", run, [tiles],
    )  # fmt: skip
    rates = load_bundle(tmp_path / "weights", "casting").bundle.gate.rates
    assert rates["set tiles"].images > 0 and rates["set tiles"].unknown is not None
    assert [error.name for error in found.failures] == [tiles.catalog.table["path"][3]]


def test_it_learned_something(samples, tmp_path):
    """Synthetic defects are plain: a model that trains at all ranks them."""
    metrics = _train(samples, tmp_path / "weights", tmp_path / "run", recipe=PRETRAINED)
    assert metrics.values["auc"].value > 0.8


@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_served_answers_equal_torch(samples, trained, runtime):
    loaded = load_bundle(trained[0], "casting")
    how = loaded.bundle.preprocessing
    model = create_model(loaded.bundle.architecture, 2, how.channels, pooling=loaded.bundle.pooling)
    halves = load_file(loaded.folder / "model.safetensors")
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in halves.items()})
    model.eval()
    inspector = Inspector(loaded, PIXELS, runtime(loaded.folder / "model.onnx"))
    files = sorted(samples.rglob("*.png"))[:6]
    for found, file in zip(
        inspector.inspect_many((f.name, f.read_bytes()) for f in files), files, strict=True
    ):
        tensor, _ = prepare(decode_image(file.read_bytes(), file.name, PIXELS), how)
        with torch.inference_mode():
            answer = model(torch.from_numpy(tensor)[None])
        wanted = (answer.logits[0] / loaded.bundle.temperature).softmax(0).numpy()
        assert np.abs(wanted - list(found.probabilities.values())).max() < 1e-3
        assert np.abs(answer.evidence[0].numpy() - found.evidence).max() < 1e-2
        total = found.evidence.mean((1, 2)) + found.evidence_bias
        assert np.abs(total - found.logits).max() < 1e-3


def test_the_model_file_names_no_file_of_the_machine_that_wrote_it(trained):
    written = (load_bundle(trained[0], "casting").folder / "model.onnx").read_bytes()
    assert b".py" not in written
    assert str(Path(torch.__file__).parent).encode() not in written


def test_a_changed_file_is_refused(samples, trained):
    folder = load_bundle(trained[0], "casting").folder
    model = folder / "model.onnx"
    original = model.read_bytes()
    try:
        model.write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(BundleError, match=r"model\.onnx: does not match"):
            load_bundle(trained[0], "casting")
    finally:
        model.write_bytes(original)


def test_a_killed_training_goes_on_where_it_was(samples, tmp_path, monkeypatch):
    """Killed in the second epoch, it does not train the first again."""
    real, epochs = loop.predict, []

    def killed(*arguments):
        if epochs:
            raise KeyboardInterrupt
        epochs.append(1)
        return real(*arguments)

    monkeypatch.setattr(loop, "predict", killed)
    with pytest.raises(KeyboardInterrupt):
        _train(samples, tmp_path / "weights", tmp_path / "run", epochs=2)
    assert not (tmp_path / "weights" / "casting").exists()
    before = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert len(before.splitlines()) == 1
    monkeypatch.setattr(loop, "predict", real)
    images = open_set(samples, PIXELS)
    line = line_for(images.catalog, tmp_path / "casting", "tiny")
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    loop.train(TrainingTask.of(recipe, line, images), tmp_path / "run")
    after = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == 2


def test_nobody_is_served_by_a_bundle_before_it_is_measured(samples, tmp_path, monkeypatch):
    """Killed between the export and the figures: the bundle that was there stays, or there is
    none, and the same command then finishes."""
    weights, run = tmp_path / "weights", tmp_path / "run"

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_measure_gate", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(samples, weights, run)
        assert [*weights.glob("*")] == []
    _train(samples, weights, run)
    before = load_bundle(weights, "casting").version
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_measure_gate", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(samples, weights, tmp_path / "other", epochs=2)
    assert load_bundle(weights, "casting").version == before
    assert [folder.name for folder in weights.iterdir()] == ["casting"]


def test_a_run_does_not_go_on_with_other_images(samples, tmp_path):
    """It would measure a network on images that it has learned from."""
    images = tmp_path / "images"
    shutil.copytree(samples, images)
    _train(images, tmp_path / "weights", tmp_path / "run")
    _train(images, tmp_path / "weights", tmp_path / "run")
    index = images / "index.csv"
    index.write_text("\n".join(index.read_text().splitlines()[:-1]))
    with pytest.raises(RecipeError, match="begun with other images"):
        _train(images, tmp_path / "weights", tmp_path / "run")
    _train(images, tmp_path / "weights", tmp_path / "another run")


@pytest.mark.parametrize(("keep", "epoch"), [("best", 1), ("last", 2)])
def test_the_epoch_that_a_recipe_keeps(samples, tmp_path, monkeypatch, keep, epoch):
    """Later epochs may fit the training images better and all others worse; `val` may also be too
    small to tell."""
    real, losses, weights = loop.predict, iter([2.0, 1.0, 3.0]), []

    def told(model, *arguments):
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return replace(real(model, *arguments), loss=next(losses))

    file = tmp_path / "given.yaml"
    file.write_text(RECIPE.format(epochs=3) + f"keep: {keep}\n")
    recipe = load_recipe(file)
    images = open_set(samples, PIXELS)
    line = line_for(images.catalog, tmp_path / "casting", "tiny")
    monkeypatch.setattr(loop, "predict", told)
    kept = load_file(loop.train(TrainingTask.of(recipe, line, images), tmp_path / "run"))
    assert len(weights) == 3
    for number, seen in enumerate(weights):
        same = all(torch.equal(kept[k], v) for k, v in seen.items())
        assert same == (number == epoch)


def test_training_again_keeps_the_line_and_refuses_other_classes(samples, trained, tmp_path):
    weights = trained[0]
    line = read_line(weights / "casting")
    assert line.default_bundle == "tiny"
    other = tmp_path / "other"
    write_samples("neu-surface", other, per_class=3, seed=1)
    with pytest.raises(ValueError, match="Choose another line name"):
        _train(other, weights, tmp_path / "run")


def test_one_class_or_several_labels_are_refused(samples, tmp_path):
    images = open_set(samples, PIXELS)
    table = images.catalog.table
    one = images.take(np.flatnonzero(table["label"] == "ok"))
    recipe_text = RECIPE.format(epochs=1)
    file = tmp_path / "r.yaml"
    file.write_text(recipe_text)
    with pytest.raises(ValueError, match="two or more"):
        train_line(one, load_recipe(file), recipe_text, "x", "b", tmp_path / "w", tmp_path / "run")
    several = replace(images.catalog, table=table.assign(label="def|ok"))
    with pytest.raises(EvaluationError, match="several labels"):
        labelled(several, line_for(images.catalog, tmp_path / "w" / "x", "b"))
