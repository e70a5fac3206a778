"""`defectvision calibrate` fits a bundle to images that it has not seen, and says so."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.bundle.reader import load_bundle
from defectvision.cli.main import app
from defectvision.data.synthetic.samples import draw
from defectvision.evaluation.seen import image_digest
from defectvision.inference.inspector import Inspector
from tests.stand_ins.bundles import write_bundle


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Weights of a bundle that is far too sure, and castings of which a third is mislabelled."""
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    write_bundle(tmp_path / "weights", "casting", "sure", gain=8.0)
    (tmp_path / "own/ok").mkdir(parents=True)
    (tmp_path / "own/def").mkdir()
    for number in range(30):
        label = ("ok", "def")[number % 2]
        image = draw("casting", label, np.random.default_rng(number), 160)
        said = label if number % 6 > 1 else ("def", "ok")[number % 2]
        cv2.imwrite(str(tmp_path / "own" / said / f"{number}.png"), image)
    return tmp_path / "weights", tmp_path / "own"


def run(weights: Path, own: Path, *words: str) -> dict:
    common = ("--weights", weights, "--data", own, "--line", "casting", "--json", *words)
    done = CliRunner().invoke(app, ["calibrate", *map(str, common)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_bundle_that_is_too_sure_is_calibrated_and_gives_the_same_verdicts(folders) -> None:
    weights, own = folders
    before = load_bundle(weights, "casting", "sure")
    tried = run(weights, own, "--bundle", "sure", "--check")
    assert not tried["written"] and load_bundle(weights, "casting", "sure") == before
    said = run(weights, own, "--bundle", "sure")
    assert said["written"] and said["calibration"] == tried["calibration"]
    rate = said["calibration"]["rates"]["defect score"]
    assert rate["after"]["value"] < rate["before"]["value"]
    after = load_bundle(weights, "casting", "sure")
    (figures,) = after.bundle.metrics
    assert figures.values["calibration_error"].model_dump() == rate["after"]
    answers = []
    for loaded in (before, after):
        inspector = Inspector(loaded, 10**6)
        found = [inspector.inspect(f.read_bytes(), f.name) for f in sorted(own.rglob("*.png"))]
        answers.append([one.verdict(inspector.policy) for one in found])
    assert answers[0] == answers[1]
    again = run(weights, own, "--bundle", "sure")
    assert again["calibration"] == said["calibration"]


def test_images_that_cannot_be_read_are_named_and_the_others_tell(folders) -> None:
    weights, own = folders
    (own / "ok/damaged.png").write_bytes(b"no image")
    common = ("--weights", weights, "--data", own, "--line", "casting", "--bundle", "sure")
    done = CliRunner().invoke(app, ["calibrate", *map(str, common), "--check", "--json"])
    assert done.exit_code == 1
    assert "failed  ok/damaged.png: not an image" in done.stderr
    assert json.loads(done.stdout)["line"] == "casting"


def test_images_that_were_learned_from_cannot_tell(folders) -> None:
    weights, own = folders
    digests = [image_digest(file) for file in own.rglob("*.png")]
    (weights / "casting/sure/trained_on.txt").write_text("\n".join(digests))
    words = ["calibrate", "--weights", weights, "--data", own, "--line", "casting"]
    done = CliRunner().invoke(app, [*map(str, words), "--bundle", "sure"])
    assert done.exit_code == 2 and "learned from all of these images" in done.stderr
