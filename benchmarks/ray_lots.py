"""What a Ray cluster makes of a large lot: how fast against the plain loop, in how much memory, and
whether each image is inspected once though machines are lost.

    python -m benchmarks.ray_lots speed --images 10000
    python -m benchmarks.ray_lots kills --images 20000 --kills 10

The images are drawn castings (JPEG, 300 px), distinct by some bytes after the picture's end, in a
folder that the page cache holds. `speed` takes a bundle of the weights folder through the worker of
the Batches page and through a Ray cluster of this machine by itself, compares their rows bit for
bit, and samples the memory of all processes of each (PSS, so that what they share counts once).
`kills` takes the lot through a cluster of several machines, each processes of their own with an
object store of their own, and kills one of them with SIGKILL at random moments; another one joins
each time. The bundle is a stand-in with fixed filters, as what is counted there does not depend on
the model.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread

import cv2
import numpy as np
import psutil
from sqlalchemy import select

from defectvision.batch import inspecting
from defectvision.batch.crew import CrewOf
from defectvision.batch.ray_crew import ray_crews
from defectvision.batch.runner import work_on
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference.record import read_record
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import Settings
from defectvision.store.batches import Engine, count_images, line_of
from defectvision.store.database import Store, open_store
from defectvision.store.rows import ANSWER
from defectvision.store.tables import BatchRow, InspectionRow
from tests.stand_ins.bundles import write_bundle

SAMPLE_SECONDS = 5.0
OF_THE_RUN = {"milliseconds", "record"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "kills"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=1, help="of each engine, in turns")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--machines", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _draw(place / "lot", asked.images)
        if asked.what == "speed":
            _speed(place, asked)
        else:
            _kills(place, asked)


def _draw(folder: Path, images: int) -> None:
    folder.mkdir()
    drawn = [
        cv2.imencode(".jpg", draw("casting", ("ok", "def")[i % 2], np.random.default_rng(i), 300))
        for i in range(48)
    ]
    for i in range(images):
        content = drawn[i % len(drawn)][1].tobytes() + i.to_bytes(4, "big")
        (folder / f"{i:06d}.jpg").write_bytes(content)


class _Memory:
    """Samples of this process and all below it, in MB."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.samples.append(total / 1e6)

    def words(self) -> str:
        """Of the middle of the second and of the last quarter of the run."""
        quarter = max(1, len(self.samples) // 4)
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        then, now = (statistics.median(part or [0.0]) for part in (second, last))
        return f"{then:.0f} MB in the second quarter, {now:.0f} MB in the last"


def _begin(store: Store, weights: Path, lot: Path, engine: Engine) -> int:
    request = BatchRequest("lot", path=str(lot), engine=engine)
    return start_batch(store, load_bundle(weights, "casting"), request, None, unproven("bench")).id


def _speed(folder: Path, asked: argparse.Namespace) -> None:
    weights = Settings().weights
    rates: dict[Engine, list[float]] = {engine: [] for engine in Engine}
    said = {}
    for turn in range(asked.turns):
        for engine in Engine:
            store = open_store(folder / f"{engine}-{turn}")
            number = _begin(store, weights, folder / "lot", engine)
            with _Memory() as memory:
                took = _run(store, weights, number, engine)
            rates[engine].append(asked.images / took)
            print(f"{engine}: {asked.images / took:.1f} images/s; {memory.words()}", flush=True)
            said[engine] = _rows(store, number)
    local, on_ray = (statistics.median(rates[engine]) for engine in Engine)
    print(f"ratio: {on_ray / local:.3f}")
    different = sum(a != b for a, b in zip(*said.values(), strict=True))
    print(f"rows that differ: {different} of {asked.images}")


def _run(store: Store, weights: Path, number: int, engine: Engine) -> float:
    """Returns the seconds that it took, with the start of the cluster and of its actors."""
    started = time.perf_counter()
    if engine == Engine.LOCAL:
        work_on(store, weights, Limits(), number, Event())
    else:
        with ray_crews("", Limits()) as crew_of:
            work_on(store, weights, Limits(), number, Event(), crew_of=crew_of)
    took = time.perf_counter() - started
    with store.reading() as session:
        found = count_images(session, number)
    assert found.done == found.total, found
    return took


def _rows(store: Store, number: int) -> list[tuple[object, ...]]:
    """What the rows say, and the hashes of the model's raw answers."""
    columns = [name for name in (*ANSWER, "name", "digest", "state") if name not in OF_THE_RUN]
    with store.reading() as session:
        line = line_of(session.get_one(BatchRow, number))
        wanted = select(InspectionRow).where(InspectionRow.batch_id == number)
        found = []
        for row in session.scalars(wanted.order_by(InspectionRow.id)):
            record = read_record(store.files.get(row.record or ""), line, row.name)
            raw = hash(record.logits.tobytes() + record.evidence.tobytes())
            found.append((*(repr(getattr(row, name)) for name in columns), raw))
        return found


def _kills(folder: Path, asked: argparse.Namespace) -> None:
    from ray.cluster_utils import Cluster

    write_bundle(folder / "weights", "casting", "resnet50")
    store = open_store(folder / "store")
    number = _begin(store, folder / "weights", folder / "lot", Engine.RAY)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    machines = [cluster.add_node(num_cpus=1) for _ in range(asked.machines)]
    chance, written, killed = random.Random(0), Counter[int](), itertools.count()
    moments = sorted(chance.sample(range(asked.images // 20, asked.images), asked.kills))
    write_answers = inspecting.write_answers

    def counted(session, rows, answers) -> None:
        write_answers(session, rows, answers)
        written.update(row for row, columns in answers.items() if "state" in columns)

    inspecting.write_answers = counted
    started = time.perf_counter()
    try:
        with ray_crews(cluster.address, Limits()) as crew_of, _Memory() as memory:
            what = store, folder / "weights", number, crew_of
            working = Thread(target=_work, args=what, daemon=True)
            working.start()
            for moment in moments:  # in this thread, as Ray starts machines in the first one alone
                while len(written) < moment and working.is_alive():
                    time.sleep(0.01)
                lost = machines.pop(chance.randrange(len(machines)))
                cluster.remove_node(lost, allow_graceful=False)
                machines.append(cluster.add_node(num_cpus=1))
                print(f"kill {next(killed) + 1} at {len(written):,} images", flush=True)
            working.join()
            took = time.perf_counter() - started
    finally:
        cluster.shutdown()
    with store.reading() as session:
        found = count_images(session, number)
    twice = sum(many - 1 for many in written.values())
    print(
        f"{found.total:,} images, {found.done:,} done, {found.failed:,} failed, {found.waiting:,} "
        f"left, {twice:,} inspected twice; {next(killed)} kills; {took:.0f} s; {memory.words()}"
    )


def _work(store: Store, weights: Path, number: int, crew_of: CrewOf) -> None:
    while True:
        work_on(store, weights, Limits(), number, Event(), crew_of=crew_of)
        with store.reading() as session:
            if not count_images(session, number).waiting:
                return


if __name__ == "__main__":
    main()
