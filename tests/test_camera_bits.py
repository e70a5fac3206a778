"""The bits that a line states for its camera count wherever its pictures are read."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.bundle.labels import label_names
from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.data.catalog import Catalog, CatalogError, catalog_table
from defectvision.data.synthetic import draw, write_samples
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.training.new_line import line_for
from tests.stand_ins.bundles import write_bundle


def narrow(picture: np.ndarray, bits: int) -> bytes:
    """The picture as a camera of `bits` bits gives it, in a file that does not say so."""
    values = np.rint(picture / 255 * ((1 << bits) - 1)).astype(np.uint16)
    return cv2.imencode(".png", values)[1].tobytes()


def state_bits(weights: Path, bits: int) -> None:
    file = weights / "casting" / "line.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"bits": bits}))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_picture_gets_the_scores_of_its_8_bit_twin(tmp_path: Path, bits: int) -> None:
    write_bundle(tmp_path, "casting", "resnet50")
    part = draw("casting", "def", np.random.default_rng(3), 300)
    twin = Inspector(load_bundle(tmp_path, "casting"), PIXELS).inspect(
        cv2.imencode(".png", part)[1].tobytes(), "part"
    )
    files = [("part", narrow(part, bits))]
    (silent,) = Inspector(load_bundle(tmp_path, "casting"), PIXELS).inspect_many(files)
    assert isinstance(silent, ImageError) and "does not say its range" in silent.reason
    state_bits(tmp_path, bits)
    (stated,) = Inspector(load_bundle(tmp_path, "casting"), PIXELS).inspect_many(files)
    assert isinstance(stated, Inspection)
    assert stated.defect_score == pytest.approx(twin.defect_score, abs=0.02)


@pytest.mark.slow
def test_the_data_report_sees_the_brightness_of_the_8_bit_twin(tmp_path: Path) -> None:
    catalog = write_samples("casting", tmp_path / "eight", per_class=2, seed=1)
    for path in catalog.table["path"]:
        pixels = cv2.imread(str(catalog.root / path), cv2.IMREAD_GRAYSCALE)
        place = (tmp_path / "twelve" / path).with_suffix(".png")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(narrow(pixels, 12))
    means = []
    for name, options in (("eight", []), ("twelve", ["--bits", "12"])):
        words = ["data", "report", str(tmp_path / name), "--json", "--workers", "1"]
        done = CliRunner().invoke(app, [*words, "--cache", str(tmp_path / "cache"), *options])
        assert done.exit_code == 0, done.output
        means.append(json.loads(done.stdout)["pictures"]["brightness"]["median"])
    assert means[1] == pytest.approx(means[0], abs=1)
    words = ["data", "report", str(tmp_path / "twelve"), "--json", "--cache", str(tmp_path / "c")]
    silent = CliRunner().invoke(app, [*words, "--workers", "1"])
    failures = json.loads(silent.stdout)["failures"]
    assert silent.exit_code == 1 and len(failures) == len(catalog)
    assert all("does not say its range" in failure for failure in failures)


def catalog_of(tmp_path: Path, *labels: str) -> Catalog:
    table = catalog_table({"path": [f"{i}.png" for i in range(len(labels))], "label": list(labels)})
    return Catalog(tmp_path, table, "set")


def test_a_new_line_keeps_the_bits_that_its_images_were_opened_with(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, "ok", "crack")
    assert {n for label in catalog.table["label"] for n in label_names(label)} == {"ok", "crack"}
    line = line_for(catalog, tmp_path / "valves", "tiny", 12)
    assert line.bits == 12
    (tmp_path / "valves").mkdir()
    (tmp_path / "valves" / "line.json").write_text(line.model_dump_json())
    assert line_for(catalog, tmp_path / "valves", "tiny") == line
    with pytest.raises(CatalogError, match="says 12 bits"):
        line_for(catalog, tmp_path / "valves", "tiny", 10)
