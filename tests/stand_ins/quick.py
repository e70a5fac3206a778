"""What thousands of tests would do again and say nothing of: a new store's tables, a slow hash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, update

from defectvision.store import accounts, database
from defectvision.store.tables import AboutStoreRow

SHIPPED_HASHER = accounts._hasher
QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@contextmanager
def quick_stores(folder: Path) -> Iterator[None]:
    """In this process, passwords are hashed with less memory, and a new SQLite file is a copy of
    one in `folder` that all migrations made, with an identity of its own."""
    migrate, made = database.migrate, folder / "made.db"

    def copied(engine: Engine, version: str = "head") -> None:
        file = Path(engine.url.database or "")
        sqlite = engine.dialect.name == "sqlite"
        if not sqlite or version != "head" or not file.is_file() or file.stat().st_size:
            migrate(engine, version)
            return
        if not made.exists():
            first = database._connect(f"sqlite:///{made}")
            migrate(first)
            first.dispose()  # which writes into the file what its log holds
        file.write_bytes(made.read_bytes())
        with engine.begin() as connection:
            connection.execute(update(AboutStoreRow).values(identity=str(uuid4())))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", copied)
        patch.setattr(accounts, "_hasher", lambda: QUICK_HASHER)
        yield
