"""What a run keeps on disk is whole, whenever it is killed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from accelerate import Accelerator
from safetensors.torch import load_file
from torch import nn

from defectvision.bundle.schema import Preprocessing
from defectvision.training import checkpoint
from defectvision.training.recipe import Recipe

RECIPE = Recipe(architecture="fcn", preprocessing=Preprocessing(height=32, width=32))


def rows(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": i + 1, "val_loss": loss} for i, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("keep", "losses", "epoch"),
    [
        ("best", (2.0, 1.0, 3.0), 2),
        ("best", (1.0, 1.0), 1),
        ("best", (math.nan, 5.0), 2),
        ("last", (1.0, 2.0), 2),
    ],
)
def test_the_epoch_that_is_kept(keep, losses, epoch):
    recipe = RECIPE.model_copy(update={"keep": keep})
    assert checkpoint.kept_epoch(rows(*losses), recipe) == epoch


def test_a_finished_run_holds_the_weights_of_the_kept_epoch_alone(tmp_path: Path):
    for number, losses in enumerate(((3.0,), (3.0, 1.0), (3.0, 1.0, 2.0))):
        model = nn.Linear(2, 1)
        nn.init.constant_(model.weight, float(number))
        checkpoint.keep_epoch(tmp_path, model, rows(*losses), RECIPE)
    assert checkpoint.finish(tmp_path, rows(3.0, 1.0, 2.0), RECIPE) == 2
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.WEIGHTS]
    assert load_file(tmp_path / checkpoint.WEIGHTS)["weight"].tolist() == [[1.0, 1.0]]


def test_a_kill_while_weights_are_written_leaves_no_half_file(tmp_path: Path, monkeypatch):
    def killed(_: object, file: Path) -> None:
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.keep_epoch(tmp_path, nn.Linear(1, 1), rows(1.0), RECIPE)
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_a_checkpoint_is_saved_leaves_the_older_one(tmp_path: Path, monkeypatch):
    accelerator = Accelerator(cpu=True)
    position = checkpoint.Position(epoch=1)
    accelerator.register_for_checkpointing(position)
    checkpoint.save_checkpoint(accelerator, tmp_path)
    real = accelerator.save_state

    def killed(folder: str) -> None:
        real(folder)
        for file in Path(folder).rglob("*.p*"):
            file.write_bytes(b"half")
        raise KeyboardInterrupt

    position.epoch = 2
    monkeypatch.setattr(accelerator, "save_state", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save_checkpoint(accelerator, tmp_path)
    accelerator.load_state(str(tmp_path / checkpoint.CHECKPOINT))
    assert position.epoch == 1
    monkeypatch.setattr(accelerator, "save_state", real)
    position.epoch = 3
    checkpoint.save_checkpoint(accelerator, tmp_path)
    position.epoch = 0
    accelerator.load_state(str(tmp_path / checkpoint.CHECKPOINT))
    assert position.epoch == 3
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.CHECKPOINT]


def test_the_history_has_an_object_an_epoch(tmp_path: Path):
    checkpoint.write_history(tmp_path, rows(2.0, 1.0))
    text = (tmp_path / checkpoint.HISTORY).read_text()
    assert [json.loads(line)["val_loss"] for line in text.splitlines()] == [2.0, 1.0]
