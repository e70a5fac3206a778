"""The real server in a process of its own, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A running dashboard, which answers."""

    url: str
    pid: int
    weights: Path
    store: Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving(weights: Path, log: Path, port: int = 0, **environment: str) -> Iterator[Server]:
    """A server of the lines in `weights` that answers; its log must hold no traceback."""
    port = port or free_port()
    deadline = time.monotonic() + 60
    settings = {
        "DEFECTVISION_WEIGHTS": str(weights),
        "DEFECTVISION_STORE": str(log.parent / "store"),
        **environment,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "defectvision.cli", "serve", f"--port={port}"],
            cwd=ROOT,
            env=os.environ | settings,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(f"{url}/_stcore/health"):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield Server(url, process.pid, weights, Path(settings["DEFECTVISION_STORE"]))
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
