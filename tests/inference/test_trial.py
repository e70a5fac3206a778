"""A model of anybody's is tried in a process of its own, which it may break."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from defectvision.bundle.reader import BundleError
from defectvision.bundle.writer import file_hash
from defectvision.inference import trial
from defectvision.inference.trial import try_bundle
from tests.stand_ins.bundles import CELL, SIZE, write_bundle
from tests.stand_ins.networks import write_network


def with_network(weights: Path, side: int, value: float = 0.0) -> Path:
    """A bundle whose network makes a square of `side` numbers on the way, and adds `value`."""
    folder, node = write_bundle(weights, "casting", "resnet50"), helper.make_node
    nodes = [
        node("ConstantOfShape", ["side"], ["square"]),
        node("ReduceMax", ["square"], ["most"], keepdims=0),
        node("AveragePool", ["images"], ["cells"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
        node("Add", ["cells", "most"], ["shifted"]),
        node("Add", ["shifted", "value"], ["grid"]),
    ]
    constants = {
        "side": np.array([side, side], np.int64),
        "value": np.float32(value),
        "head": np.ones((2, 1, 1, 1), np.float32),
        "bias": np.zeros(2, np.float32),
    }
    cells = SIZE // CELL
    shapes = {"logits": [2], "evidence": [2, cells, cells], "embedding": [2]}
    write_network(folder / "model.onnx", nodes, constants, (SIZE, SIZE), shapes)
    about = json.loads((folder / "bundle.json").read_text())
    about["files"]["model.onnx"] = file_hash(folder / "model.onnx")
    (folder / "bundle.json").write_text(json.dumps(about))
    return weights


def test_what_runs_tells_how_fast_it_is(tmp_path: Path) -> None:
    found = try_bundle(with_network(tmp_path, 8), "casting", "resnet50", runs=5)
    assert (found.runs, found.height, found.width) == (5, SIZE, SIZE)
    assert 0 < found.model_ms <= found.median_ms <= found.p95_ms


def test_what_takes_all_memory_breaks_only_its_own_process(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"(does not run|ended early) on a test picture"):
        try_bundle(with_network(tmp_path, 120_000), "casting", "resnet50")  # 58 GB


def test_what_answers_no_numbers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="its answer holds numbers that are none"):
        try_bundle(with_network(tmp_path, 8, float("nan")), "casting", "resnet50")


def test_what_never_answers_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LONGEST_SECONDS", 0.05)
    with pytest.raises(BundleError, match="did not answer to a test picture within"):
        try_bundle(with_network(tmp_path, 8), "casting", "resnet50")
