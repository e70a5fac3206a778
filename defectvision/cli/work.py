"""`defectvision work`: work on batches without a dashboard."""

from __future__ import annotations

import signal
from functools import partial
from threading import Event

from defectvision import logs
from defectvision.cli.terminal import clear_errors, err
from defectvision.settings import settings


def work() -> None:
    """Work on the batches of the store until it is ended (Ctrl+C or SIGTERM), beside any number of
    servers and of others like it: each batch has one worker at a time, and each image is inspected
    once.

    Machines that work together share the database and the files (DEFECTVISION_DATABASE,
    DEFECTVISION_FILES), have the same bundles, and see the folders of batches under one path.
    """
    with clear_errors():
        from defectvision.batch.worker import work_forever
        from defectvision.store.database import open_store

        about, stop = settings(), Event()
        logs.set_up(about.log, dated=True)
        store = partial(open_store, about.store, about.database, about.files)
        store()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        err.say("working on batches  (stop with Ctrl+C)")
        work_forever(store, about.weights, about.limits, stop)
