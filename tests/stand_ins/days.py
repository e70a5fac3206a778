"""Days of a store, without waiting for them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from defectvision.store.age import DAY, about
from defectvision.store.database import Store
from defectvision.store.dropped import remove_dropped
from defectvision.store.retention import expire


def let_days_pass(store: Store, days: float) -> tuple[int, int]:
    """What a server does to a store that ran for so long; returns the files and bytes it removed.
    Its files grow as old."""
    for path in Path(store.files.url).rglob("*"):
        if path.is_file():
            then = time.time() - max(days, 1) * DAY
            os.utime(path, (then, then))
    with store.session() as session:
        about(session, to_change=True).age += round(days * DAY)
        expire(session)
    return remove_dropped(store)
