"""`defectvision fingerprints` lets a bundle that exists know copies of what it learned from."""

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
    """Weights, and drawn castings of which the bundle learned from those with an even number."""
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    bundle = write_bundle(tmp_path / "weights", "casting", "old")
    known = []
    for label in ("ok", "def"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for seed in range(4):
            file = tmp_path / "own" / label / f"{seed}.png"
            cv2.imwrite(str(file), draw("casting", label, np.random.default_rng(seed), 240))
            if seed % 2 == 0:
                known.append(image_digest(file))
    (bundle / "trained_on.txt").write_text("\n".join(known) + "\n", encoding="ascii")
    return tmp_path / "weights", tmp_path / "own"


def run(*words: object) -> dict:
    common = ("--line", "casting", "--bundle", "old", "--json")
    done = CliRunner().invoke(app, [*map(str, words), *common])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_copies_are_left_out_once_the_bundle_has_fingerprints(folders, tmp_path) -> None:
    weights, own = folders
    (tmp_path / "copies/ok").mkdir(parents=True)
    for number, seed in enumerate((0, 2, 1)):  # the last one was not learned from
        image = cv2.imread(str(own / f"ok/{seed}.png"), cv2.IMREAD_GRAYSCALE)
        turned = np.rot90(image, number + 1)[:, ::-1] * 0.9
        cv2.imwrite(str(tmp_path / f"copies/ok/{number}.png"), turned)
    evaluate = ("evaluate", "--weights", weights, "--data", tmp_path / "copies")
    assert run(*evaluate)["images"] == 3
    before = load_bundle(weights, "casting", "old")
    picture = (own / "ok/1.png").read_bytes()
    answer = Inspector(before, 10**6).inspect(picture, "x")

    said = run("fingerprints", "--weights", weights, "--data", own)
    assert (said["learned_from"], said["found"], said["fingerprints"]) == (4, 4, 4)
    after = load_bundle(weights, "casting", "old")
    assert said["version"] == after.version != before.version == said["version_before"]
    again = Inspector(after, 10**6).inspect(picture, "x")
    assert again.probabilities == answer.probabilities
    assert after.bundle.policy == before.bundle.policy
    assert run(*evaluate)["images"] == 1


def test_images_that_cannot_be_read_are_named(folders) -> None:
    weights, own = folders
    (own / "ok/damaged.png").write_bytes(b"no image")
    words = ["fingerprints", "--weights", weights, "--data", own, "--line", "casting", "--json"]
    done = CliRunner().invoke(app, [*map(str, words), "--bundle", "old"])
    assert done.exit_code == 1 and json.loads(done.stdout)["fingerprints"] == 4
    assert "failed  ok/damaged.png: not an image" in done.stderr


def test_another_set_is_refused(folders, tmp_path) -> None:
    weights, own = folders
    for file in own.glob("*/[02].png"):
        file.unlink()
    words = ["fingerprints", "--weights", weights, "--data", own, "--line", "casting"]
    done = CliRunner().invoke(app, [*map(str, words), "--bundle", "old"])
    assert done.exit_code == 2 and "learned from none of these images" in done.stderr
