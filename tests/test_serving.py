"""The environment of a plant-floor PC: requirements-serve.txt alone, of what is installed here, and
in `make soak` built anew."""

import json
import os
import subprocess
import venv
from importlib.metadata import Distribution, distribution, packages_distributions
from pathlib import Path

import cv2
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from defectvision.data.synthetic.samples import draw
from tests.stand_ins.missing import run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 1.2e9  # bytes
UNREACHABLE = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeout")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    image = draw("casting", "def", np.random.default_rng(1), 300)
    (tmp_path / "part.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return tmp_path / "part.png"


def served() -> dict[str, Distribution]:
    """What the file lists and what that asks for in turn, as it is installed here."""
    lines = (ROOT / "requirements-serve.txt").read_text().splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    found, done = {}, set()
    while asked:
        one = asked.pop()
        if str(one) in done:
            continue
        done.add(str(one))
        installed = found[canonicalize_name(one.name)] = distribution(one.name)
        assert one.specifier.contains(installed.version, prereleases=True), one
        for more in map(Requirement, installed.requires or []):
            extras = [{"extra": extra} for extra in ("", *one.extras)]
            if more.marker is None or any(map(more.marker.evaluate, extras)):
                asked.append(more)
    return found


def test_what_is_listed_is_small() -> None:
    files = {
        Path(file.locate())
        for package in served().values()
        for file in package.files or []
        if file.suffix != ".pyc"
    }
    assert 5e8 < sum(file.lstat().st_size for file in files if file.exists()) < LARGEST


def test_what_is_listed_inspects(part: Path) -> None:
    listed = {*served(), "defectvision"}
    others = {
        name
        for name, packages in packages_distributions().items()
        if listed.isdisjoint(map(canonicalize_name, packages))
    }
    assert {"torch", "timm", "ray", "s3fs"} <= others
    done = run(
        f"""
import sys
from defectvision.cli.main import app
sys.argv = ["defectvision", "inspect", {str(part)!r}, "--line", "casting", "--json"]
app()
""",
        *others,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] in ("accept", "review", "reject")


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


@pytest.mark.soak
def test_it_is_small(python: Path) -> None:
    files = (Path(f) / n for f, _, names in os.walk(python.parents[1]) for n in names)
    assert sum(f.lstat().st_size for f in files) < LARGEST


@pytest.mark.soak
def test_it_inspects_without_torch(python: Path, part: Path) -> None:
    command = [python, "-m", "defectvision.cli", "inspect", part]
    done = subprocess.run(
        [*command, "--line", "casting", "--json"],
        capture_output=True, text=True, cwd=ROOT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["verdict"] in ("accept", "review", "reject")
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
