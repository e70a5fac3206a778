"""Stores of either kind, and lots in them, to be backed up and restored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from defectvision.batch.sources import folder_source
from defectvision.store.database import Store, open_store
from tests.stand_ins.lots import lot, run, start

KINDS = ("sqlite", "postgresql")
Opened = Callable[..., Store]


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Opened:
    """Opens a store of a kind, each with its own folder, database and files."""
    count = 0

    def open_one(kind: str = "sqlite") -> Store:
        nonlocal count
        count += 1
        database = request.getfixturevalue("postgres")() if kind == "postgresql" else ""
        return open_store(tmp_path / f"store-{count}", database)

    return open_one


def start_and_run(store: Store, weights: Path, folder: Path, parts: list) -> int:
    number = start(store, weights, folder_source(lot(folder, dict(parts)), None))
    assert run(store, weights, number).failed == 0
    return number
