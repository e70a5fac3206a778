"""What is installed: `make sbom` lists it, and `make audit` says what it could look up."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from docs.audit import report

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_bill_of_materials_names_what_is_installed(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().split("sbom: ")[1].splitlines()[1].strip()
    command = recipe.replace("$(BIN)/cyclonedx-py", "-m cyclonedx_py").split()
    command = [sys.executable if part == "$(BIN)/python" else part for part in command]
    subprocess.run([sys.executable, *command], cwd=tmp_path, check=True, timeout=300)
    content = json.loads((tmp_path / "sbom.json").read_text())
    assert content["bomFormat"] == "CycloneDX"
    listed = {part["name"]: part["version"] for part in content["components"]}
    for name in ("streamlit", "openvino", "cryptography", "numpy"):
        assert listed[name] == version(name)


WEAK = {"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}
SOUND = {"name": "b", "version": "1", "vulns": []}
UNKNOWN = {"name": "c", "version": "1", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (json.dumps({"dependencies": [SOUND, UNKNOWN]}), 0, "1 of 2 packages were looked up"),
        (json.dumps({"dependencies": [SOUND, WEAK]}), 1, "a 1: CVE-1, mended in 2"),
        (json.dumps({"dependencies": [UNKNOWN]}), 0, "skipped: the service of advisories knows"),
        ("", 0, "skipped: the advisories cannot be had (Max retries exceeded)"),
    ],
)
def test_an_audit_says_what_it_could_not_look_up(answer, status, said, capsys) -> None:
    assert report(answer, "traceback\nMax retries exceeded\n") == status
    assert said in capsys.readouterr().out
