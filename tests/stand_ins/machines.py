"""Real `defectvision work` processes, each as on a machine of its own: with its own clock, and
unable to look up the others' processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from defectvision.store.database import Store
from defectvision.store.workers import silence_of_workers
from tests.stand_ins.claimed_batches import PATIENCE, Place

WORKER = """
import datetime, signal, socket, sys, time
from defectvision.batch import claim, holder, worker
from defectvision.batch import inspecting, memory
from sqlalchemy import event
from defectvision.inference.inspector import Inspector
from defectvision.store import database
from defectvision.cli.main import app

name, offset, slow, silent, chunk = sys.argv[1], *map(float, sys.argv[2:6])
claim.BEAT_SECONDS, claim.SILENT_SECONDS = 0.2, silent
memory.FIRST, memory.OfBatch.pace = int(chunk), lambda *times: None
socket.gethostname = lambda: name
holder._place = lambda: name  # a set of process numbers of its own

right_time, Right = time.time, datetime.datetime

class Wrong(Right):
    @classmethod
    def now(cls, zone=None):
        return Right.now(zone) + datetime.timedelta(seconds=offset)

time.time = lambda: right_time() + offset

def jump(number, _frame):
    global offset
    offset += MONTH if number == signal.SIGUSR1 else -MONTH

MONTH = 30 * 86400.0
signal.signal(signal.SIGUSR1, jump)
signal.signal(signal.SIGUSR2, jump)
for module in list(sys.modules.values()):
    if module.__name__.startswith("defectvision") and getattr(module, "datetime", 0) is Right:
        module.datetime = Wrong

inspect_many, write_answers = Inspector.inspect_many, inspecting.write_answers

def slowly(self, given, **more):
    given = list(given)
    print("inspecting", flush=True)
    time.sleep(slow)
    return inspect_many(self, given, **more)

def written(session, rows, answers):
    write_answers(session, rows, answers)

    def say(_session):
        for row in answers:
            print("wrote", row, flush=True)

    event.listen(session, "after_commit", say, once=True)

Inspector.inspect_many, inspecting.write_answers = slowly, written
app(["work"])
"""


class Machine:
    """A worker that runs. What it wrote, image by image, stands in `written` when it has ended."""

    def __init__(
        self,
        place: Place,
        weights: Path,
        name: str,
        offset: float = 0.0,
        slow: float = 0.0,
        silent: float = 2.0,
        chunk: int = 4,
    ) -> None:
        folder = place.folder / (name if place.database else "store")
        self.name, self.log = name, place.folder / f"{name}.log"
        self.out = place.folder / f"{name}.out"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            what = name, *map(str, (offset, slow, silent, chunk))
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER, *what],
                stdout=out,
                stderr=log,
                env={
                    **os.environ,
                    "DEFECTVISION_WEIGHTS": str(weights),
                    "DEFECTVISION_STORE": str(folder),
                    "DEFECTVISION_DATABASE": place.database,
                    "DEFECTVISION_FILES": str(place.folder / "files"),
                },
            )

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def until(self, word: str, times: int = 1) -> None:
        """Wait until it said so."""
        end = time.monotonic() + PATIENCE
        while self.out.read_text().count(word) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """As systemd ends it."""
        self.process.terminate()
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()

    @property
    def written(self) -> Counter[int]:
        lines = self.out.read_text().splitlines()
        return Counter(int(line.split()[1]) for line in lines if line.startswith("wrote "))


def wait_for(workers: int, store: Store) -> None:
    """Until so many have said that they are there."""
    end = time.monotonic() + PATIENCE
    while True:
        with store.reading() as session:
            if len(silence_of_workers(session)) == workers:
                return
        assert time.monotonic() < end
        time.sleep(0.1)
