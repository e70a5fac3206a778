"""A classifier's head alone, learned on a pretrained backbone that stays as it is."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.reader import load_bundle
from defectvision.data.image_set import open_set
from defectvision.limits import PIXELS
from defectvision.training.frozen import HeadTraining
from defectvision.training.pipeline import train_line
from defectvision.training.pretrained import load_pretrained
from defectvision.training.progress import Tell
from defectvision.training.recipe import RecipeError, load_recipe
from defectvision.training.task import TrainingTask, fresh_network

pytestmark = pytest.mark.slow

RECIPE = {
    "architecture": "efficientnet_lite0",
    "pretrained": "auto",
    "frozen": True,
    "preprocessing": {"height": 64, "width": 64, "fit": "stretch"},
    "split": {"train": 0.5, "val": 0.25, "test": 0.25},
    "tracking": "none",
}
KINDS = ("good", "hole", "scratch")


def part(seed: int, shows: tuple[str, ...]) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = np.clip(130 + 9 * rng.standard_normal((64, 64)), 0, 255).astype(np.uint8)
    x, y = rng.integers(16, 48, 2).tolist()
    if "hole" in shows:
        cv2.circle(image, (x, y), 9, 20, -1)
    if "scratch" in shows:
        cv2.line(image, (x - 14, 4), (x + 14, 60), 250, 2)
    return image


def recipe_of(folder: Path, **other):
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(RECIPE | other))
    return load_recipe(file)


def test_a_line_is_learned_whose_encoder_stays(tmp_path) -> None:
    for number in range(36):
        kind = KINDS[number % 3]
        (tmp_path / "set" / kind).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "set" / kind / f"{number}.png"), part(number, (kind,)))
    recipe, weights, run = recipe_of(tmp_path), tmp_path / "weights", tmp_path / "run"
    text = (tmp_path / "recipe.yaml").read_text()
    found = train_line(
        open_set(tmp_path / "set", PIXELS), recipe, text, "caps", "first", weights, run
    )
    assert found is not None and found.metrics.images == 9
    assert found.metrics.values["macro_f1"].value > 0.8
    loaded = load_bundle(weights, "caps", "first")
    network = fresh_network(recipe, loaded.line)
    load_pretrained(network, "auto")
    learned = load_file(loaded.folder / "model.safetensors")
    backbone = {k: v for k, v in network.state_dict().items() if not k.startswith("head.")}
    assert all(torch.allclose(learned[k].float(), v, rtol=2e-3, atol=1e-6)
               for k, v in backbone.items() if v.is_floating_point())  # fmt: skip
    assert (run / "weights.safetensors").is_file()


def test_several_labels_have_a_head_each_and_an_image_is_seen_once(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    rows = ["path,label,split"]
    for number in range(48):
        shows = tuple(kind for bit, kind in enumerate(KINDS[1:]) if number >> bit & 1)
        cv2.imwrite(str(folder / f"{number}.png"), part(number, shows))
        split = ("train", "train", "train", "val", "train", "test")[number // 4 % 6]
        rows.append(f"{number}.png,{'|'.join(shows)},{split}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    classes = tuple(
        DefectClass(name=kind, title=kind, kind="defect", colour="#aa3300") for kind in KINDS[1:]
    )
    line = Line(
        name="caps", title="Caps", label_mode="multilabel", classes=classes, default_bundle="first"
    )
    task = TrainingTask.of(recipe_of(tmp_path), line, open_set(folder, PIXELS))
    training, steps = HeadTraining(), []
    monkeypatch.setattr(
        Tell, "step", lambda *_: contextlib.nullcontext(lambda: steps.append("an image"))
    )
    training.train(task, tmp_path / "before")
    weights = training.train(task, tmp_path / "run")
    assert len(steps) == len(task.training), "seen twice, or not at all"
    network = task.trained_network(weights).eval()
    with torch.inference_mode():
        for placed, least in ((task.training, 0.99), (task.validation, 0.75)):
            pictures = torch.stack([placed[i].image for i in range(len(placed))])
            right = (network(pictures).logits.numpy() > 0) == (placed.targets > 0)
            assert right.mean() >= least


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"pooling": "strongest"}, "pooling: strongest"),
        ({"pretrained": "none"}, "pretrained: none"),
        ({"masks": {}, "architecture": "joint_efficientnet_lite0"}, "masks"),
        ({"memory": {}}, "memory"),
    ],
)
def test_what_does_not_go_with_it_is_refused(tmp_path, other, said) -> None:
    with pytest.raises(RecipeError, match=f"the head alone cannot be learned with {said}"):
        recipe_of(tmp_path, **other)


def test_a_network_without_such_a_head_is_refused(tmp_path) -> None:
    for kind in KINDS:
        (tmp_path / "set" / kind).mkdir(parents=True)
        for number in range(4):
            cv2.imwrite(str(tmp_path / "set" / kind / f"{number}.png"), part(number, (kind,)))
    recipe = recipe_of(tmp_path, architecture="multilabel_cnn")
    with pytest.raises(RecipeError, match="head of multilabel_cnn"):
        train_line(
            open_set(tmp_path / "set", PIXELS), recipe, "", "caps", "first",
            tmp_path / "weights", tmp_path / "run",
        )  # fmt: skip
