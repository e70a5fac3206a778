"""Accounts of all roles, and a browser that signs in with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from defectvision.people import Role
from tests.stand_ins.castings import casting
from tests.stand_ins.server import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

WORD = "correct horse battery"


def command(store: Path, *words: str, given: str = "") -> str:
    """What the command line prints, on this store."""
    done = subprocess.run(
        [sys.executable, "-m", "defectvision.cli", *words],
        cwd=ROOT,
        env={**os.environ, "DEFECTVISION_STORE": str(store)},
        input=given,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def staffed(store: Path) -> None:
    """An account for each role, named like it."""
    for role in Role:
        command(
            store, "accounts", "add", role, "--role", role, "--password-stdin", given=f"{WORD}\n"
        )


def inspected_lot(folder: Path, weights: Path, store: Path) -> None:
    """A batch of a few castings, which is done."""
    images = folder / "Lot 9"
    images.mkdir()
    for i in range(4):
        (images / f"{i}.png").write_bytes(casting("def" if i % 2 else "ok", 100 + i))
    command(store, "batch", str(images), "--line", "casting", "--db", "--weights", str(weights))


def sign_in(page: Page, url: str, name: str, password: str = WORD) -> None:
    page.goto(url)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
