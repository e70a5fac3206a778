"""The training curve of a bundle, and the words on its speed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from defectvision.bundle.history import read_history
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import HISTORY_FILE, LoadedBundle
from defectvision.bundle.writer import file_hash, write_about
from defectvision.inference.speed import look_at_speed, measure_speed
from defectvision.web.lines.curve import curve_chart
from defectvision.web.lines.speed import in_words
from tests.stand_ins.bundles import write_bundle


def with_history(weights: Path, content: str) -> LoadedBundle:
    folder = write_bundle(weights, "casting", "resnet50")
    (folder / HISTORY_FILE).write_text(content)
    about = load_bundle(weights, "casting").bundle
    files = about.files | {HISTORY_FILE: file_hash(folder / HISTORY_FILE)}
    write_about(folder, about.model_copy(update={"files": files}))
    return load_bundle(weights, "casting")


def test_a_curve_has_a_line_for_each_figure(tmp_path: Path) -> None:
    rows = [
        {"epoch": 1, "train_loss": None, "val_loss": 0.7, "val_accuracy": 0.5},
        {"epoch": 2, "train_loss": 0.4, "val_loss": float("nan"), "val_accuracy": 0.75},
    ]
    loaded = with_history(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    columns = read_history(loaded)
    assert columns == {
        "epoch": [1, 2],
        "train_loss": [None, 0.4],
        "val_loss": [0.7, None],
        "val_accuracy": [0.5, 0.75],
    }
    figure = curve_chart(columns)
    assert [(line.name, list(line.y)) for line in figure.data] == [
        ("Loss, training images", [None, 0.4]),
        ("Loss, validation images", [0.7, None]),
        ("Accuracy, validation images", [0.5, 0.75]),
    ]


@pytest.mark.parametrize("content", ["", "[1]\n", "no json\n", '{"a": 1}\n7\n'])
def test_a_history_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    assert read_history(with_history(tmp_path, content)) == {}


def test_a_bundle_without_one_says_nothing(weights: Path) -> None:
    assert read_history(load_bundle(weights, "casting")) == {}


def test_a_speed_is_measured_and_is_there_again(weights: Path, tmp_path: Path) -> None:
    loaded = load_bundle(weights, "casting")
    assert in_words(look_at_speed(loaded, tmp_path)) == "not measured yet"
    measure_speed(loaded, tmp_path)
    deadline = time.monotonic() + 60
    while look_at_speed(loaded, tmp_path).running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    look = look_at_speed(loaded, tmp_path)
    assert look.measured is not None, look.problem
    assert 0 < look.measured.model_ms <= look.measured.median_ms <= look.measured.p95_ms
    assert "ms an image (median of 40; 95 % within" in in_words(look)
