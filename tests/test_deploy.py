"""The service file and the container file name what there is, and docs/operations.md works."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from defectvision.cli.main import app
from defectvision.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
UNIT = ROOT / "docs/deploy/defectvision.service"
CONTAINER = (ROOT / "docs/deploy/Containerfile").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
ANALYZE = shutil.which("systemd-analyze")
COMMANDS = typer.main.get_command(app).commands
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="no systemd-analyze")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The service file of an installation that is there: its program, its user."""
    program = tmp_path / "opt/.venv/bin/defectvision"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text(encoding="utf-8").replace("/opt/defectvision", str(tmp_path / "opt"))
    file = tmp_path / UNIT.name
    user = pwd.getpwuid(os.getuid()).pw_name
    file.write_text(re.sub(r"^(User|Group)=.*", rf"\1={user}", text, flags=re.M))
    return file


@needs_systemd
def test_systemd_reads_the_service_without_a_complaint(unit: Path) -> None:
    what = (ANALYZE, "verify", "--man=no", str(unit))
    found = subprocess.run(what, capture_output=True, text=True, check=False)
    complaints = [line for line in found.stderr.splitlines() if unit.name in line]
    assert not complaints and found.returncode == 0, found.stderr


@needs_systemd
def test_the_service_is_shut_in(unit: Path) -> None:
    what = (ANALYZE, "security", "--offline=true", "--threshold=25", "--no-pager", str(unit))
    found = subprocess.run(what, capture_output=True, text=True, check=False)
    if "Unknown" in found.stderr or "unrecognized" in found.stderr:
        pytest.skip("a systemd that cannot look at a file")
    assert found.returncode == 0, found.stdout[-400:] + found.stderr


def test_what_is_set_and_started_exists() -> None:
    text = UNIT.read_text(encoding="utf-8") + CONTAINER + OPERATIONS
    known = {f"DEFECTVISION_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"DEFECTVISION_[A-Z_]+", text)) <= known
    said = set(re.findall(r"(?:bin/defectvision|`defectvision|^dv) ([a-z]+)", text, re.M))
    assert {"serve", "work", "backup", "restore", "doctor"} <= said <= set(COMMANDS)


def test_each_option_that_is_named_is_one() -> None:
    options = {o for c in COMMANDS.values() for p in c.params for o in p.opts}
    assert set(re.findall(r"`(--[a-z-]+)`", OPERATIONS)) <= options


def test_the_container_copies_what_there_is_and_what_serving_needs() -> None:
    copied = [x for line in re.findall(r"^COPY (.+) \S+$", CONTAINER, re.M) for x in line.split()]
    assert all((ROOT / name).exists() for name in copied)
    assert {"app.py", "pages", "defectvision", "weights", ".streamlit"} <= set(copied)
    files = subprocess.run(
        ("git", "ls-files", "docs/deploy", "docs/operations.md"), cwd=ROOT, capture_output=True,
        text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert len(files) >= 2, "they are part of what is delivered"


def test_every_part_that_doctor_looks_at_is_explained() -> None:
    table = OPERATIONS[OPERATIONS.index("## What doctor finds") :]
    explained = {
        x for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.M) for x in row.split(", ")
    }
    source = "".join(
        (ROOT / "defectvision" / name).read_text(encoding="utf-8")
        for name in ("cli/installation.py", "cli/examination.py", "batch/health.py")
    )
    parts = set(re.findall(r'Finding\(\s*"([a-z ]+)"', source)) - {"rows"}
    assert len(parts) > 12 and parts <= explained
