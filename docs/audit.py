"""Whether the installed packages have weaknesses that are known.

    python -m docs.audit

Asks the service of pip-audit (the advisories of PyPI). Exits with 1 where there is one, and with 0
and a word where the service cannot be reached, so that a network without internet fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

COMMAND = ("--format", "json", "--progress-spinner", "off", "--skip-editable", "--timeout", "15")


def main() -> int:
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", *COMMAND], capture_output=True, text=True
    )
    return report(done.stdout, done.stderr)


def report(answer: str, errors: str) -> int:
    """Say what `pip-audit --format json` found; returns the exit status."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except ValueError:
        reason = (errors.strip().splitlines() or ["no answer"])[-1]
        print(f"skipped: the advisories cannot be had ({reason[:200]})")
        return 0
    looked_up = [package for package in packages if "vulns" in package]
    if not looked_up:
        print(f"skipped: the service of advisories knows none of the {len(packages)} packages here")
        return 0
    weak = [package for package in looked_up if package["vulns"]]
    for package in weak:
        for found in package["vulns"]:
            mended = ", ".join(found["fix_versions"]) or "no version"
            print(f"{package['name']} {package['version']}: {found['id']}, mended in {mended}")
    print(
        f"{len(looked_up)} of {len(packages)} packages were looked up, {len(weak)} with weaknesses"
    )
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main())
