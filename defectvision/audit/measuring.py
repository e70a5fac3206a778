"""The process that measures a set for a server: `python -m defectvision.audit FD`.

`FD` is its end of a pipe (`multiprocessing.connection`) on which it gets an `Order` and tells how
far it is (`Progress`), what it found at each stage (the fields of a `Study` but its images), or
what is in its way (`Problem`). It ends when the other end is closed: with the server, however that
ends.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

from defectvision.audit.study import Study, study
from defectvision.data.image_set import ImageSet

NICE = 5  # parts that are inspected meanwhile go first


@dataclass(frozen=True)
class Order:
    """Measure `image_set`, which was opened from `path`."""

    image_set: ImageSet
    path: Path
    cache: Path


@dataclass(frozen=True)
class Problem:
    """What prevents it, and what to do."""

    text: str


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    server = Connection(int(sys.argv[1]))
    order: Order = server.recv()
    Thread(target=_end_with, args=(server,), name="server", daemon=True).start()
    os.nice(NICE)

    def tell(said: object) -> None:
        try:
            server.send(said)
        except ConnectionError:  # nobody is left to tell
            os._exit(0)

    def staged(found: Study) -> None:
        names = [field.name for field in fields(found) if field.name != "image_set"]
        tell({name: getattr(found, name) for name in names})

    images = order.image_set
    try:
        found = study(
            order.path, order.cache, images.limit_pixels, tell, image_set=images, staged=staged
        )
        staged(found)
    except OSError as error:
        tell(Problem(_in_words(error, order.cache)))


def _end_with(server: Connection) -> None:
    """End this process when the server has; nothing else comes on the pipe."""
    with suppress(EOFError, OSError):
        server.recv()
    os._exit(0)


def _in_words(error: OSError, cache: Path) -> str:
    return (
        f"{error.filename or cache}: {error.strerror or error}. Free some space there, or set "
        "DEFECTVISION_CACHE to a folder that can be written; then open the set again."
    )
