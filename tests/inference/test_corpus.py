"""Several hundred hostile and odd files: each decoded right or refused in words, in time, and
within a bound of memory, alone and sixteen at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS, MOST_MB, MOST_MB_TOGETHER = 2.0, 500.0, 1600.0


@pytest.fixture(scope="module")
def found() -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.corpus", "--json"],
        capture_output=True, text=True, cwd=ROOT, timeout=600,
    )  # fmt: skip
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_each_is_decoded_right_or_refused_in_words(found: dict) -> None:
    assert len(found["files"]) > 600
    assert [file["wrong"] for file in found["files"] if file["wrong"]] == []
    decoded = [file for file in found["files"] if "decoded" in file["became"]]
    assert 150 < len(decoded) < 300


def test_none_takes_long(found: dict) -> None:
    slow = {file["name"]: file["seconds"] for file in found["files"]}
    assert {name: s for name, s in slow.items() if s > MOST_SECONDS} == {}


def test_none_takes_much_memory(found: dict) -> None:
    large = {file["name"]: file["memory_mb"] for file in found["files"]}
    assert max(large.values()) > 300, "the bombs are there"
    assert {name: mb for name, mb in large.items() if mb > MOST_MB} == {}


def test_sixteen_at_once_stay_within_a_bound(found: dict) -> None:
    assert 500 < found["together_mb"] < MOST_MB_TOGETHER
