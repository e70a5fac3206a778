"""The store's folder: what its parts are called, and where it lies unless somebody says."""

from __future__ import annotations

import logging
from pathlib import Path

log = logging.getLogger(__name__)
DATABASE, FILES = "defectvision.sqlite3", "files"


def is_store(folder: Path) -> bool:
    """Whether a folder holds a store's database, or its files where the database is elsewhere."""
    return (folder / DATABASE).is_file() or (folder / FILES).is_dir()


def store_in(folder: Path, earlier: Path) -> Path:
    """`folder`, unless only the place `earlier` holds a store, left by an earlier version: it is
    used with everything in it, and the log says how to move it."""
    if is_store(folder) or not is_store(earlier):
        return folder
    log.warning(
        "the store lies in %s, where an earlier version put it, and is used there. To move it, "
        "stop the server and rename that folder to %s; to leave it, set DEFECTVISION_STORE=%s",
        earlier,
        folder,
        earlier,
    )
    return earlier
