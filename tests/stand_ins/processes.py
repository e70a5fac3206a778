"""Processes of this machine, as the system lists them."""

from __future__ import annotations

import time
from pathlib import Path

PROC = Path("/proc")


def running(pid: int) -> bool:
    """Whether a process has not ended; one that only waits for its parent has."""
    try:
        return _fields(pid)[0] not in ("Z", "X")
    except OSError:
        return False


def below(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they started."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int(_fields(int(entry.name))[1]), []).append(int(entry.name))
            except OSError:
                continue
    found, new = [], [pid]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found += new
    return [child for child in found if running(child)]


def command(pid: int) -> str:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def measuring(server: int) -> list[int]:
    """The processes that measure a set for a server."""
    return [pid for pid in below(server) if "-m defectvision.audit " in command(pid)]


def all_ended(pids: list[int], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(running, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _fields(pid: int) -> list[str]:
    """From the state on, after the program's name, which may hold anything."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
