"""`defectvision gate` measures a bundle's gate on drawn images, writes it, and tries it."""

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
from defectvision.evaluation import gate_images
from defectvision.evaluation import gate_trial as trial
from defectvision.evaluation.seen import image_digest
from tests.stand_ins.bundles import LINES, write_bundle

STEEL = LINES["neu-surface"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, Path]:
    """Weights, the line's images, of which the bundle learned from half, and tiles."""
    monkeypatch.setattr(gate_images, "MOST_DRAWN", 6)
    monkeypatch.setattr(gate_images, "MOST_CHANGED", 4)
    monkeypatch.setenv("DEFECTVISION_CACHE", str(tmp_path / "cache"))
    weights, own, others = (tmp_path / name for name in ("weights", "own", "others"))
    bundle = write_bundle(weights, STEEL.name, "old")
    known = []
    for line, folder, each in ((STEEL, own, 10), (LINES["magnetic-tile"], others, 3)):
        for label in line.class_names:
            (folder / label).mkdir(parents=True)
            for seed in range(each):
                file = folder / label / f"{seed}.png"
                image = draw(line.name, label, np.random.default_rng([seed, len(label)]), 128)
                cv2.imwrite(str(file), image)
                if folder == own and seed % 2:
                    known.append(image_digest(file))
    (bundle / "trained_on.txt").write_text("\n".join(known) + "\n", encoding="ascii")
    return weights, own, others


def run(*words: str | Path) -> tuple[int, dict]:
    done = CliRunner().invoke(app, ["gate", *map(str, words), "--bundle", "old", "--json"])
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_gate_is_measured_written_and_tried(folders) -> None:
    weights, own, others = folders
    words = ("--line", STEEL.name, "--data", own, "--foreign", others, "--weights", weights)
    status, said = run(*words)
    assert status == (1 if said["missed"] else 0)
    assert next(iter(said["rates"])) == "own images"
    assert {"set others", "frames without structure", "cat", "inverted"} <= set(said["rates"])
    assert said["rates"]["frames without structure"]["review"]["value"] == 1
    gate = load_bundle(weights, STEEL.name, "old").bundle.gate
    assert gate is not None and "of own" in gate.unseen
    before = (weights / STEEL.name / "old" / "bundle.json").read_bytes()
    _, tried = run(*words, "--check")
    assert tried["rates"]["set others"]["review"] == said["rates"]["set others"]["review"]
    assert (weights / STEEL.name / "old" / "bundle.json").read_bytes() == before


def test_images_that_cannot_be_read_are_named(folders, monkeypatch: pytest.MonkeyPatch) -> None:
    weights, own, _ = folders
    rows = []
    for file in sorted(own.glob("*/*.png")):
        rows.append(f"{file.relative_to(own)},{file.parent.name},{file.stem}")
    label = STEEL.class_names[0]
    # One beside an image that was learned from, of the same photo group, and one of no group.
    for name, group in (("known", 1), ("new", "")):
        (own / label / f"{name}.png").write_bytes(b"no image")
        rows.append(f"{label}/{name}.png,{label},{group}")
    (own / "index.csv").write_text("\n".join(["path,label,photo_group", *rows, "gone.png,x,"]))
    monkeypatch.setattr(trial, "misses", lambda *_: [])
    common = ("--line", STEEL.name, "--data", own, "--weights", weights, "--bundle", "old")
    done = CliRunner().invoke(app, ["gate", *map(str, common), "--check", "--json"])
    assert done.exit_code == 1, done.output
    for name in (f"{label}/known.png", f"{label}/new.png"):
        assert done.stderr.count(f"failed  {name}: not an image") == 1
    assert "failed  index.csv, line" in done.stderr and "gone.png" in done.stderr
