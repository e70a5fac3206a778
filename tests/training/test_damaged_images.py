"""A damaged image is left out and named, wherever labelled images are read; the rest goes on."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision import roots
from defectvision.bundle.history import read_history
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import SEEN_FILE
from defectvision.cli.main import app
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import ImageSet, open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.evaluation.seen import image_digest
from defectvision.inference.labelled_images import readable
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import load_recipe

LIMIT = 100_000
RECIPE = """
architecture: multilabel_cnn
preprocessing: {height: 32, width: 32, fit: stretch}
split: {train: 0.5, val: 0.25, test: 0.25}
epochs: 1
batch_size: 16
precision: fp32
tracking: none
"""
MASKS = """
architecture: fcn
options: {width: 8}
preprocessing: {height: 32, width: 32, fit: stretch}
split: {folds: 3}
masks: {losses: {bce_dice: 1.0}}
epochs: 1
batch_size: 16
precision: fp32
tracking: none
"""


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    write_samples("casting", tmp_path / "parts", per_class=8, seed=5)
    return tmp_path / "parts"


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:400])


def train(folder: Path, images: ImageSet, text: str = RECIPE, line: str = "casting"):
    file = folder / "recipe.yaml"
    file.write_text(text)
    return train_line(
        images, load_recipe(file), text, line, "tiny", folder / "weights", folder / "run"
    )


def damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every kind of damage in the casting samples: the file's path and what is said of it."""
    good, bad = sorted((folder / "ok").glob("*")), sorted((folder / "def").glob("*"))
    cut_off(good[0])
    good[1].write_bytes(b"no image at all")
    cv2.imwrite(str(bad[0]), np.zeros((400, 400), np.uint8))
    real = roots.content

    def content(path: Path, limit: int | None = None) -> bytes:
        if path == bad[1]:
            raise PermissionError(13, "Permission denied")
        return real(path, limit)

    monkeypatch.setattr(roots, "content", content)
    return {
        f"ok/{good[0].name}": "damaged or cut off",
        f"ok/{good[1].name}": "not an image",
        f"def/{bad[0].name}": "more than 0.1",
        f"def/{bad[1].name}": "Permission denied",
    }


@pytest.mark.slow
def test_the_rest_is_trained_on_and_each_damaged_image_is_named(
    samples, tmp_path, monkeypatch, caplog
):
    expected = damage(samples, monkeypatch)
    with caplog.at_level(logging.WARNING):
        result = train(tmp_path, open_set(samples, LIMIT))
    assert {failure.name for failure in result.failures} == set(expected)
    for failure in result.failures:
        assert expected[failure.name] in failure.reason and failure.remedy
        assert f"left out  {failure}" in caplog.text
    bundle = load_bundle(tmp_path / "weights", "casting").bundle
    assert sum(bundle.provenance["images"].values()) == 16 - 4
    test = sum(n for k, n in bundle.provenance["images"].items() if k.startswith("test/"))
    assert result.metrics.images == len(result.judged) == test
    assert not set(result.judged["path"]) & set(expected)


def test_nothing_is_written_where_too_little_is_left(samples, tmp_path):
    for file in (samples / "ok").iterdir():
        cut_off(file)
    with pytest.raises(CatalogError, match="only the class def"):
        train(tmp_path, open_set(samples, LIMIT))
    for file in (samples / "def").iterdir():
        cut_off(file)
    with pytest.raises(CatalogError, match="none of its 16 images can be read"):
        train(tmp_path, open_set(samples, LIMIT))
    assert not (tmp_path / "run").exists() and not (tmp_path / "weights").exists()


@pytest.mark.parametrize("gone", ["train", "val", "test"])
def test_a_split_of_the_set_that_cannot_be_read_is_named_instead_of_made_anew(
    samples, tmp_path, gone
):
    """Dividing the rest anew would learn from images that the set holds back."""
    rows = ["path,label,split"]
    for number, file in enumerate(sorted(samples.rglob("*.png"))):
        split = ("train", "val", "test", "train")[number % 4]
        rows.append(f"{file.relative_to(samples)},{file.parent.name},{split}")
        if split == gone:
            cut_off(file)
    (samples / "index.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(CatalogError, match=f"none of its images in split '{gone}' can be read"):
        train(tmp_path, open_set(samples, LIMIT))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the mask cannot be read"),
        (b"no image", "the mask cannot be read"),
        (cv2.imencode(".png", np.zeros((5, 7), np.uint8))[1].tobytes(), "the mask is 7 x 5 px"),
        (None, "cannot be read (No such file"),
    ],
    ids=["empty", "no image", "other size", "missing"],
)
def test_an_image_whose_mask_cannot_be_read_is_no_example(tmp_path, content, reason):
    write_samples("magnetic-tile", tmp_path, per_class=2, seed=2, size=48)
    images = open_set(tmp_path, LIMIT)
    row = next(r for r in range(len(images.catalog)) if images.catalog.mask_path(r))
    mask = images.catalog.mask_path(row)
    mask.unlink() if content is None else mask.write_bytes(content)
    left, (failure,) = readable(images, masks=True)
    assert failure.name == images.catalog.table["path"][row]
    assert reason in failure.reason and failure.remedy
    assert len(left.catalog) == len(images.catalog) - 1
    assert readable(images, masks=False)[1] == ()  # a training of labels alone keeps it


@pytest.mark.slow
def test_folds_masks_and_int8_go_on_without_a_damaged_image(tmp_path):
    from defectvision.training.quantize import quantize_bundle

    write_samples("magnetic-tile", tmp_path / "tiles", per_class=4, seed=2, size=48)
    images = open_set(tmp_path / "tiles", LIMIT)
    rows = [r for r in range(len(images.catalog)) if images.catalog.mask_path(r)]
    cut_off(images.catalog.image_path(rows[0]))
    images.catalog.mask_path(rows[1]).write_bytes(b"no image")
    damaged = set(images.catalog.table["path"].iloc[rows[:2]])
    result = train(tmp_path, images, MASKS, "tile")
    assert {failure.name for failure in result.failures} == damaged
    assert result.metrics.images == len(images.catalog) - 2
    _, failures = quantize_bundle(tmp_path / "weights", "tile", "tiny", images, allowed=1.0)
    assert {failure.name for failure in failures} == damaged


@pytest.mark.slow
def test_the_commands_name_it_and_exit_with_1(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    first = sorted((samples / "ok").glob("*"))[0]
    cut_off(first)
    common = ["--data", str(samples), "--line", "casting", "--weights", str(tmp_path / "weights")]
    recipe = ["--recipe", str(tmp_path / "recipe.yaml"), "--bundle", "tiny"]
    run = ["--run", str(tmp_path / "run")]
    for command in (["train", *common, *recipe, *run], ["export", *common, "--allowed", "1"]):
        done = CliRunner().invoke(app, [*command, "--json"])
        assert done.exit_code == 1, done.stderr
        assert f"failed  ok/{first.name}: damaged or cut off" in done.stderr
        json.loads(done.stdout)
    assert load_bundle(tmp_path / "weights", "casting").bundle.precision == "int8"
    done = CliRunner().invoke(app, ["evaluate", *common, "--include-seen", "--json"])
    assert done.exit_code == 1
    assert f"failed  ok/{first.name}" in done.stderr
    assert json.loads(done.stdout)["images"] == 15


@pytest.mark.slow
def test_what_a_bundle_learned_from_does_not_hold_the_damaged(samples, tmp_path):
    first = sorted((samples / "ok").glob("*"))[0]
    cut_off(first)
    train(tmp_path, open_set(samples, LIMIT))
    seen = (tmp_path / "weights/casting/tiny" / SEEN_FILE).read_text().split()
    assert read_history(load_bundle(tmp_path / "weights", "casting", "tiny"))["epoch"]
    assert image_digest(first) not in seen and len(seen) == len(set(seen)) > 0
    shutil.rmtree(samples)
