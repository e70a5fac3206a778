"""`defectvision work`: work on batches without a dashboard."""

from __future__ import annotations

import signal
from threading import Event

from defectvision import logs
from defectvision.cli.engine import Address, EngineName, crews_of
from defectvision.cli.terminal import clear_errors, err
from defectvision.settings import settings, the_store


def work(engine: EngineName = "local", address: Address = "") -> None:
    """Work on the batches of the store until it is ended (Ctrl+C or SIGTERM), beside any number of
    servers and of others like it: each batch has one worker at a time, and each image is inspected
    once.

    Machines that work together share the database and the files (DEFECTVISION_DATABASE,
    DEFECTVISION_FILES), have the same bundles, and see the folders of batches under one path.

    With --engine ray it works on the batches that were started so, the oldest first, and one at a
    time.
    """
    with clear_errors():
        from defectvision.batch.worker import work_forever

        about, stop = settings(), Event()
        logs.set_up(about.log, dated=True)
        the_store()
        with crews_of(engine, address) as crew_of:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: stop.set())
            err.say("working on batches  (stop with Ctrl+C)")
            work_forever(the_store, about.weights, about.limits, stop, crew_of)
