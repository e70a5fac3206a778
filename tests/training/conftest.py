"""The line that several tests begin with, which takes some seconds to learn."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stand_ins.plates import PARTS, train, write


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    """A folder of good plates."""
    folder = tmp_path_factory.mktemp("box of good parts")
    write(folder, PARTS)
    return folder


@pytest.fixture(scope="session")
def trained(good, tmp_path_factory) -> Path:
    """The folder in which the line `plates` was learned from them: its `weights` and its `run`."""
    out = tmp_path_factory.mktemp("out")
    result = train(good, out)
    assert result.exit_code == 0, result.output
    return out
