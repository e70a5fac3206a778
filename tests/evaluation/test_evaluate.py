"""A served bundle on labelled images: which count, which are left out, and what good is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision import roots
from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.reader import load_bundle
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import draw
from defectvision.evaluation.evaluate import evaluate, labelled, taken_for_deviations
from defectvision.evaluation.kept import UNSEEN, EvaluationError
from defectvision.evaluation.seen import how_seen
from defectvision.inference.inspector import Inspector
from defectvision.training.new_line import good_parts_line_for, line_for
from defectvision.training.targets import targets_of
from tests.stand_ins.bundles import write_bundle

LIMIT = 200_000


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Inspector:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "casting", "resnet50")
    return Inspector(load_bundle(weights, "casting"), LIMIT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good and three defective parts in folders called `clean` and `def`."""
    for name, label in (("clean", "ok"), ("def", "def")):
        (tmp_path / name).mkdir()
        for seed in range(3):
            image = draw("casting", label, np.random.default_rng(seed), 200)
            cv2.imwrite(str(tmp_path / name / f"{seed}.png"), image)
    return tmp_path


def test_labels_that_a_line_from_good_parts_does_not_know_are_told(tmp_path, inspector) -> None:
    table = catalog_table({"path": list("abcde"), "label": ["0", "0", "1", "good", ""]})
    catalog = Catalog(tmp_path, table, "set")
    line = good_parts_line_for(catalog, tmp_path / "line", "b")
    assert labelled(catalog, line).table["label"].tolist() == [*[DEVIATION] * 3, "ok", "ok"]
    told = taken_for_deviations(catalog, line)
    assert "knows no label '0' (2), '1' (1)" in told
    assert "'1' (1)" in taken_for_deviations(catalog.with_good(["0"]), line)
    assert taken_for_deviations(catalog.with_good(["0", "1"]), line) == ""
    assert taken_for_deviations(catalog, inspector.line) == ""


@pytest.mark.slow
def test_a_folder_called_clean_is_good_in_training_and_in_evaluation(folder, inspector):
    images = open_set(folder, LIMIT)
    own = line_for(images.catalog, folder / "line", "b")
    assert [(c.name, c.kind) for c in own.classes] == [("clean", "ok"), ("def", "defect")]
    known = line_for(images.catalog, inspector.loaded.folder.parent, "b")
    assert known.class_names == ("ok", "def")
    for line in (own, known):
        targets = targets_of(labelled(images.catalog, line), line)
        assert targets.tolist() == [0, 0, 0, 1, 1, 1]
    metrics = evaluate(inspector, images, split="all").metrics
    assert {truth: sum(row.values()) for truth, row in metrics.confusion.items()} == {
        "ok": 3,
        "def": 3,
    }


@pytest.mark.slow
def test_images_that_cannot_be_read_are_named_and_count_in_no_metric(
    folder, inspector, monkeypatch
):
    (folder / "clean/0.png").write_bytes((folder / "clean/0.png").read_bytes()[:300])
    cv2.imwrite(str(folder / "def/1.png"), np.zeros((500, 500), np.uint8))
    real = roots.content

    def content(path: Path) -> bytes:
        if path == folder / "def/2.png":
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(roots, "content", content)
    advanced = []
    images = open_set(folder, LIMIT)
    assert set(how_seen(images, inspector.loaded.folder)) == {UNSEEN}
    result = evaluate(inspector, images, split="all", advance=lambda: advanced.append(1))
    assert [(f.name, f.reason) for f in result.failures] == [
        ("clean/0.png", result.failures[0].reason),
        ("def/1.png", "500 x 500 px are 0.2 megapixels, more than 0.2"),
        ("def/2.png", "cannot be read (Input/output error)"),
    ]
    assert "cut off" in result.failures[0].reason
    assert result.judged["path"].tolist() == ["clean/1.png", "clean/2.png", "def/0.png"]
    assert result.metrics.images == 3 and len(advanced) == 6


def test_nothing_to_measure_is_an_error_that_names_the_first(folder, inspector):
    images = replace(open_set(folder, LIMIT), limit_pixels=LIMIT)
    for file in folder.glob("*/*.png"):
        file.write_bytes(b"gone")
    with pytest.raises(EvaluationError, match=r"none of its images.*clean/0\.png: not an image"):
        evaluate(inspector, images, split="all")
