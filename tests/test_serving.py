"""The environment of a plant-floor PC: requirements-serve.txt alone, built here."""

import json
import os
import subprocess
import venv
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.data.synthetic.samples import draw

pytestmark = pytest.mark.slow  # builds an environment

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 1.2e9  # bytes
UNREACHABLE = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeout")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the pinned requirements of serving."""
    folder = tmp_path_factory.mktemp("serve") / "venv"
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    done = subprocess.run(
        [found, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check",
         "--no-compile", "-r", ROOT / "requirements-serve.txt"],
        capture_output=True, text=True,
    )  # fmt: skip
    if any(word in done.stderr for word in UNREACHABLE) and os.environ.get("CI") != "true":
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return found


def test_it_is_small(python: Path) -> None:
    files = (Path(f) / n for f, _, names in os.walk(python.parents[1]) for n in names)
    assert sum(f.lstat().st_size for f in files) < LARGEST


def test_it_inspects_without_torch(python: Path, tmp_path: Path) -> None:
    image = draw("casting", "def", np.random.default_rng(1), 300)
    (tmp_path / "part.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    command = [python, "-m", "defectvision.cli", "inspect", tmp_path / "part.png"]
    done = subprocess.run(
        [*command, "--line", "casting", "--json"],
        capture_output=True, text=True, cwd=ROOT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] in ("accept", "review", "reject")
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
