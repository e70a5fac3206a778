"""The store, the lines and the clock of workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.batch import claim as claiming
from defectvision.store.database import Store
from tests.stand_ins.claimed_batches import (
    Place,
)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("postgres")() if request.param == "postgresql" else ""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Place(tmp_path, "").open()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that observers go by, in s; a test moves it."""
    moment = [1000.0]
    monkeypatch.setattr(claiming.time, "monotonic", lambda: moment[0])
    return moment
