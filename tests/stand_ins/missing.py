"""A process that lacks some packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str, *missing: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process that cannot import what is `missing`."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(missing=set(missing)) + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
