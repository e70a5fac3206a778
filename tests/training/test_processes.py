"""Two processes learn what one learns, and go on after one of them was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn
from torch.nn import functional

from defectvision.bundle.reader import load_bundle
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.limits import PIXELS
from defectvision.training.pipeline import train_line
from defectvision.training.recipe import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.soak]  # test_pipeline.py kills a single process
# Images as they are: each process varies its own by chance.
RECIPE = """
architecture: multilabel_cnn
pooling: strongest
preprocessing: {height: 48, width: 48, fit: round_part}
augmentation: {mirror: false}
split: {train: 0.5, val: 0.25, test: 0.25}
epochs: 3
batch_size: 8
learning_rate: 0.002
ema: 0.5
precision: fp32
tracking: none
"""
PROCESS = """
import os, signal, sys
from torch import nn
from torch.nn import functional
from defectvision.training import loop
nn.Dropout2d.forward = lambda self, x: x
nn.BatchNorm2d.forward = lambda self, x: functional.instance_norm(
    x, weight=self.weight, bias=self.bias
)
close = loop._close_epoch

def closed(task, state, losses):
    row = close(task, state, losses)
    if os.environ["RANK"] == os.environ.get("KILLED") and state.position.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return row

loop._close_epoch = closed
from defectvision.cli.main import app
app(sys.argv[1:])
"""


def history(run: Path) -> list[dict]:
    rows = [json.loads(row) for row in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_two_processes_learn_what_one_does_though_one_is_killed(tmp_path, monkeypatch) -> None:
    write_samples("casting", tmp_path / "samples", per_class=16, seed=5)
    recipe, script = tmp_path / "given.yaml", tmp_path / "process.py"
    recipe.write_text(RECIPE)
    script.write_text(PROCESS)
    images, alone = open_set(tmp_path / "samples", PIXELS), tmp_path / "one"
    what = images, load_recipe(recipe), RECIPE, "casting", "tiny", alone / "weights", alone / "run"
    # Apart from what each process has of its own: chance, and on a CPU the statistics of its share.
    monkeypatch.setattr(nn.Dropout2d, "forward", lambda self, x: x)
    monkeypatch.setattr(
        nn.BatchNorm2d,
        "forward",
        lambda self, x: functional.instance_norm(x, weight=self.weight, bias=self.bias),
    )
    measured = train_line(*what).metrics

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [
        "--",
        str(script),
        "train",
        "--data",
        str(tmp_path / "samples"),
        "--line",
        "casting",
    ]
    command += ["--recipe", str(recipe), "--bundle", "tiny", "--weights", str(tmp_path / "weights")]
    command += ["--run", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run(command, env={**environment, "KILLED": "1"}, capture_output=True)
    assert killed.returncode and len(history(tmp_path / "run")) == 2
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    assert "resumed at epoch 3" in found.stderr

    # Adam's first steps follow signs, in which the last bits of a sum count.
    for row, other in zip(history(alone / "run"), history(tmp_path / "run"), strict=True):
        assert (row["epoch"], row["learning_rate"]) == (other["epoch"], other["learning_rate"])
        for loss in ("train_loss", "val_loss"):
            assert row[loss] == pytest.approx(other[loss], abs=0.01)
    metrics = load_bundle(tmp_path / "weights", "casting").bundle.metrics[0]
    assert (metrics.images, metrics.split) == (measured.images, measured.split)
