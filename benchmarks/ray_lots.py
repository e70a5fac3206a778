"""What a Ray cluster makes of a large lot: how fast against the plain loop, in how much memory, and
whether each image is inspected once though machines are lost.

    python -m benchmarks.ray_lots speed --images 10000
    python -m benchmarks.ray_lots kills --images 20000 --kills 10
    python -m benchmarks.ray_lots driver --images 20000 [--database postgresql://...]

The images are drawn castings (JPEG, 300 px), distinct by some bytes after the picture's end, in a
folder that the page cache holds. `speed` takes a bundle of the weights folder through the worker of
the Batches page and through a Ray cluster of this machine by itself, compares their rows bit for
bit, and samples the memory of all processes of each (PSS, so that what they share counts once).
`kills` takes the lot through a cluster of several machines, each processes of their own with an
object store of their own, and kills one of them with SIGKILL at random moments; another one joins
each time. The bundle is a stand-in with fixed filters, as what is counted there does not depend on
the model. `driver` takes it through a crew that answers at once with what a bundle answered before,
and so measures the one process that hands out and writes: how many images a second it is good for,
what it says to the database, and the bytes that go between it and the actors, and from those to the
store.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pickle
import random
import socket
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import cv2
import numpy as np
import psutil
from sqlalchemy import event, select

from defectvision.batch import inspecting, memory
from defectvision.batch.answers import Answerer
from defectvision.batch.crew import CrewOf, Done
from defectvision.batch.memory import OfBatch
from defectvision.batch.ray_crew import MOST_CHUNKS, ray_crews
from defectvision.batch.runner import work_on
from defectvision.batch.start import BatchRequest, start_batch
from defectvision.batch.station import Found, Question
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import LoadedBundle
from defectvision.data.synthetic.samples import draw
from defectvision.inference.inspector import inspector_of
from defectvision.inference.record import read_record
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import Settings
from defectvision.store import retention
from defectvision.store.batches import Engine, count_images, line_of
from defectvision.store.database import Store, open_store
from defectvision.store.files import Files, digest_of
from defectvision.store.rows import ANSWER, Columns
from defectvision.store.tables import BatchRow, InspectionRow
from tests.stand_ins.bundles import write_bundle

SAMPLE_SECONDS = 5.0
OF_THE_RUN = {"milliseconds", "record"}
PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)
TRIES = 5  # at starting a machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "kills", "driver"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=1, help="of each engine, in turns")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--together", type=int, default=24, help="images of a chunk, for `driver`")
    parser.add_argument("--database", default="", help="for `driver`; SQLite where empty")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _draw(place / "lot", asked.images)
        {"speed": _speed, "kills": _kills, "driver": _driver}[asked.what](place, asked)


def _draw(folder: Path, images: int) -> None:
    folder.mkdir()
    drawn = [
        cv2.imencode(".jpg", draw("casting", ("ok", "def")[i % 2], np.random.default_rng(i), 300))
        for i in range(48)
    ]
    for i in range(images):
        content = drawn[i % len(drawn)][1].tobytes() + i.to_bytes(4, "big")
        (folder / f"{i:06d}.jpg").write_bytes(content)


class _Watch:
    """Samples of this process and all below it: memory in MB, and CPU seconds."""

    def __init__(self) -> None:
        self.samples: list[float] = []
        self._cpu: dict[int, tuple[str, float]] = {}  # by process: whose, and how many
        self._stop = Event()
        self._thread = Thread(target=self._sample, daemon=True)

    def __enter__(self) -> _Watch:
        self._before = time.process_time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._cpu[os.getpid()] = "this process", time.process_time() - self._before

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            total = me.memory_full_info().pss
            for process in me.children(recursive=True):
                try:
                    total += process.memory_full_info().pss
                    whose = "actors" if "Remote" in "".join(process.cmdline()) else "Ray's own"
                    times = process.cpu_times()
                except psutil.Error:
                    continue
                self._cpu[process.pid] = whose, times.user + times.system
            self.samples.append(total / 1e6)

    def memory(self) -> str:
        """Of the middle of the second and of the last quarter of the run."""
        quarter = max(1, len(self.samples) // 4)
        second, last = self.samples[quarter : 2 * quarter], self.samples[-quarter:]
        then, now = (statistics.median(part or [0.0]) for part in (second, last))
        return f"{then:.0f} MB in the second quarter, {now:.0f} MB in the last"

    def cpu(self, images: int) -> str:
        """Milliseconds an image, by whose processes took them."""
        took = Counter[str]()
        for whose, seconds in self._cpu.values():
            took[whose] += 1e3 * seconds / images  # type: ignore[assignment]
        return "CPU ms an image: " + ", ".join(f"{whose} {ms:.2f}" for whose, ms in took.items())


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
            with _Watch() as watch:
                took = _run(store, weights, number, engine)
            rates[engine].append(asked.images / took)
            print(f"{engine}: {asked.images / took:.1f} images/s; {watch.memory()}", flush=True)
            print(f"{engine}: {watch.cpu(asked.images)}", flush=True)
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
    cluster = Cluster()
    _machine(cluster, num_cpus=0)
    machines = [_machine(cluster, num_cpus=1) for _ in range(asked.machines)]
    chance, written, killed = random.Random(0), Counter[int](), itertools.count()
    moments = sorted(chance.sample(range(asked.images // 20, asked.images), asked.kills))
    write_answers = inspecting.write_answers

    def counted(session, rows, answers) -> None:
        write_answers(session, rows, answers)
        written.update(row for row, columns in answers.items() if "state" in columns)

    inspecting.write_answers = counted
    started = time.perf_counter()
    try:
        with ray_crews(cluster.address, Limits()) as crew_of, _Watch() as watch:
            what = store, folder / "weights", number, crew_of
            working = Thread(target=_work, args=what, daemon=True)
            working.start()
            for moment in moments:  # in this thread, as Ray starts machines in the first one alone
                while len(written) < moment and working.is_alive():
                    time.sleep(0.01)
                lost = machines.pop(chance.randrange(len(machines)))
                cluster.remove_node(lost, allow_graceful=False)
                machines.append(_machine(cluster, num_cpus=1))
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
        f"left, {twice:,} inspected twice; {next(killed)} kills; {took:.0f} s; {watch.memory()}"
    )


def _machine(cluster: Any, **how: int) -> Any:
    """Another machine of the cluster, started again where that took Ray too long. Its ports are
    chosen here: Ray gives a machine up that has not chosen them itself after 15 s."""
    me = psutil.Process()
    for left in reversed(range(TRIES)):
        before = set(me.children(recursive=True))
        with ExitStack() as free:
            sockets = [free.enter_context(socket.socket()) for _ in PORTS]
            for one in sockets:
                one.bind(("", 0))
            ports = [one.getsockname()[1] for one in sockets]
        try:
            return cluster.add_node(**how, **dict(zip(PORTS, ports, strict=True)))
        except Exception as error:  # a bare one, and others
            print(f"a machine did not start: {error}", flush=True)
            for process in set(me.children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            if not left:
                raise
    raise AssertionError


def _work(store: Store, weights: Path, number: int, crew_of: CrewOf) -> None:
    while True:
        work_on(store, weights, Limits(), number, Event(), crew_of=crew_of)
        with store.reading() as session:
            if not count_images(session, number).waiting:
                return


class _Instant:
    """Answers at once, as if all had been read and asked before. Messages are packed and unpacked
    on this process's side, as they are on their way to actors, and counted.

    answers: what a bundle said of some images.
    """

    deep = 1

    def __init__(self, answers: list[Columns]) -> None:
        self.sent = self.received = 0
        self._answers = [pickle.dumps(columns) for columns in answers]
        self._done: list[tuple[int, Done]] = []

    @property
    def has_room(self) -> bool:
        return len(self._done) < 2 * MOST_CHUNKS

    def read(self, chunk: int, bundle: LoadedBundle, rows: list[InspectionRow]) -> None:
        self.sent += len(pickle.dumps((chunk, rows)))
        digests = {row.id: digest_of(row.name.encode()) for row in rows}
        self._receive(chunk, Found({}, digests, {row.id: f"{row.id:040d}" for row in rows}))

    def ask(self, chunk: int, question: Question) -> None:
        self.sent += len(pickle.dumps((chunk, question)))
        answers = itertools.cycle(self._answers)
        self._receive(chunk, {d: pickle.loads(next(answers)) for d in question.new})

    def wait(self) -> list[tuple[int, Done]]:
        done, self._done = self._done, []
        return done

    def forget(self, *chunks: int) -> None:
        self._done = [(chunk, done) for chunk, done in self._done if chunk not in chunks]

    def _receive(self, chunk: int, done: Found | dict[str, Columns]) -> None:
        said = pickle.dumps(done)
        self.received += len(said)
        self._done.append((chunk, pickle.loads(said)))


class _Database:
    """Counts what is said to a database, and how long its statements take, without commits."""

    def __init__(self, store: Store) -> None:
        self.updated, self.commits, self.seconds = 0, 0, 0.0
        event.listen(store.engine, "before_cursor_execute", self._before)
        event.listen(store.engine, "after_cursor_execute", self._after)
        event.listen(store.engine, "commit", self._commit)

    def _before(self, *_: object) -> None:
        self._since = time.perf_counter()

    def _after(self, _connection: object, cursor: Any, said: str, *_: object) -> None:
        self.seconds += time.perf_counter() - self._since
        if said.startswith("UPDATE"):
            self.updated += max(cursor.rowcount, 0)

    def _commit(self, connection: Any) -> None:
        self.commits += 1


def _driver(folder: Path, asked: argparse.Namespace) -> None:
    store, weights = open_store(folder / "store", asked.database), Settings().weights
    answers = _answers(folder, asked.together)
    number = _begin(store, weights, folder / "lot", Engine.RAY)
    memory.FIRST, OfBatch.pace = asked.together, lambda *_: None
    crew, said = _Instant(answers), _Database(store)
    with _Watch() as watch:
        started = time.perf_counter()
        work_on(store, weights, Limits(), number, Event(), crew_of=lambda *_: crew)
        took = time.perf_counter() - started
    with store.reading() as session:
        assert count_images(session, number).done == asked.images
    print(
        f"{asked.images / took:.0f} images/s, {watch.cpu(asked.images)}; of an image: "
        f"{said.updated / asked.images:.2f} rows updated, "
        f"{said.commits / asked.images:.3f} transactions, {1e3 * said.seconds / asked.images:.2f} "
        f"ms in statements; {crew.sent / asked.images:.0f} bytes to actors and "
        f"{crew.received / asked.images:.0f} from them"
    )


def _answers(folder: Path, images: int) -> list[Columns]:
    """What a bundle says of the first images of the lot; prints what is kept of them."""
    loaded, kept = load_bundle(Settings().weights, "casting"), folder / "sample"
    answerer = Answerer(
        inspector_of(loaded, Limits()), loaded.bundle.policy, Files(str(kept)), retention.ALL
    )
    files = sorted((folder / "lot").iterdir())[:images]
    found = answerer.answers({file.name: file.read_bytes() for file in files}, any_done=True)
    read = sum(file.stat().st_size for file in files) / images
    written = sum(file.stat().st_size for file in kept.rglob("*") if file.is_file()) / images
    print(f"bytes an image: {read:.0f} read, {written:.0f} written to the store's files")
    return list(found.values())


if __name__ == "__main__":
    main()
