"""The documents' figures come from the bundles and the code, and a stale one is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from defectvision.settings import ROOT
from docs import figures


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped bundles' words without their models."""
    large = shutil.ignore_patterns("*.onnx", "*.safetensors", "*.npz", "*.txt")
    shutil.copytree(ROOT / "weights", tmp_path / "weights", ignore=large)
    monkeypatch.setattr(figures, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


def _auc(weights: Path) -> float:
    about = json.loads((weights / "casting" / "resnet50" / "bundle.json").read_text("utf-8"))
    return float(about["metrics"][0]["values"]["auc"]["value"])


def test_a_model_card_that_differs_from_its_bundle_is_named(weights: Path) -> None:
    assert figures.stale_cards() == []
    card = weights / "casting" / "resnet50" / "README.md"
    card.write_text(card.read_text("utf-8").replace(f"{_auc(weights):.4f}", "0.9999"))
    assert figures.stale_cards() == [card]


def test_a_figure_of_a_bundle_stands_in_the_readme(weights: Path) -> None:
    table = figures.measured_table()
    assert table in (ROOT / "README.md").read_text("utf-8")
    about = weights / "casting" / "resnet50" / "bundle.json"
    about.write_text(about.read_text("utf-8").replace(str(_auc(weights)), "0.12345"))
    assert figures.measured_table() != table and "0.1235" in figures.measured_table()
