"""Days of a store, without waiting for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import patch

from defectvision.store import files
from defectvision.store.age import DAY, about
from defectvision.store.database import Store
from defectvision.store.dropped import remove_dropped
from defectvision.store.retention import expire


@contextmanager
def files_older_by(days: float) -> Iterator[None]:
    """Every file is as old as if it had been written so long before, wherever it lies."""
    later = SimpleNamespace(time=lambda: time.time() + days * DAY)
    with patch.object(files, "time", later):
        yield


def let_days_pass(store: Store, days: float) -> tuple[int, int]:
    """What a server does to a store that ran for so long; returns the files and bytes it removed.
    Its files grow as old."""
    with store.session() as session:
        about(session, to_change=True).age += round(days * DAY)
        expire(session)
    with files_older_by(max(days, 1)):
        return remove_dropped(store)
