"""The crew of a Ray cluster: an actor for each core of each machine, with the model on that core.

It is for large lots and many machines. The actors read images, ask the model and keep files; the
database is known to this process alone. They are started here one by one and never by Ray, so that
whatever is lost, an actor, a machine, an answer on its way, is a chunk that others do again.
"""

from __future__ import annotations

import logging
import socket
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

from defectvision import __version__
from defectvision.batch.crew import Crew, CrewOf, Done, StationLostError
from defectvision.batch.memory import OfBatch
from defectvision.batch.ray_cluster import connected, pin
from defectvision.batch.reading import Reader
from defectvision.batch.station import Found, Question, Station
from defectvision.batch.watch import AwayError
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import LINE_FILE, LoadedBundle
from defectvision.inference.inspector import inspector_of
from defectvision.inference.parcel import pack, unpack
from defectvision.limits import Limits
from defectvision.store.errors import StoreError
from defectvision.store.files import Files
from defectvision.store.rows import Columns
from defectvision.store.tables import BatchRow, InspectionRow

log = logging.getLogger(__name__)
MOST_CHUNKS = 3  # of one actor: one is asked about, others are read meanwhile
READS = 2  # that an actor does at once
WAIT_SECONDS = 0.5
LOOK_SECONDS = 1.0  # between two looks at which machines there are
READY_SECONDS = 90.0  # in which an actor must be ready, where none is
MOST_FAILURES = 3  # of actors of one machine in a row


@contextmanager
def ray_crews(address: str, limits: Limits) -> Iterator[CrewOf]:
    """Crews of the cluster at `address`, see `connected`."""
    with connected(address) as ray:
        crews = _Crews(ray, limits)
        try:
            yield crews.of
        finally:
            crews.dismiss()


class _Crews:
    """One crew at a time: that of the batch that was worked on last."""

    def __init__(self, ray: ModuleType, limits: Limits) -> None:
        self._ray, self._limits = ray, limits
        self._crew: _RayCrew | None = None

    def of(self, batch: BatchRow, bundle: LoadedBundle, files: Files) -> Crew:
        if self._crew is None or not self._crew.fits(batch, bundle):
            self.dismiss()
            self._crew = _RayCrew(self._ray, Work(batch, files.url, self._limits), bundle, files)
        return self._crew

    def dismiss(self) -> None:
        if self._crew is not None:
            self._crew.dismiss()
            self._crew = None


@dataclass(frozen=True)
class Work:
    """What an actor is told besides the bundle. owners: the databases whose the store's files
    are, by which it sees that it has the same ones before it."""

    batch: BatchRow
    files: str
    limits: Limits
    owners: frozenset[str] = frozenset()
    program: str = __version__


class Remote:
    """A station in a process of its own, on one core of its machine."""

    def prepare(self, core: int, work: Work, parcel: bytes) -> None:
        """core: a number of one, that no other actor of this machine has. Raises what makes the
        machine useless."""
        if work.program != __version__:
            raise AwayError(
                f"{socket.gethostname()}: has version {__version__} of this program, and the lot "
                f"was started with {work.program}. Install the same one"
            )
        files = Files(work.files)
        if frozenset(files.mark() or ()) != work.owners:
            raise StoreError(
                f"{files.url}: holds other files on {socket.gethostname()} than where the lot was "
                "started. Keep the store's files where each machine has them: set "
                "DEFECTVISION_FILES to an object store, or to a folder that all mount"
            )
        pin(core)
        with tempfile.TemporaryDirectory(prefix="defectvision-") as folder:
            line, name = unpack(BytesIO(parcel), Path(folder))
            (Path(folder) / line.name / LINE_FILE).write_text(line.model_dump_json())
            loaded = load_bundle(Path(folder), line.name, name, work.limits.trusted)
            self._inspector = inspector_of(loaded, work.limits)
        reader = Reader(work.batch.source, files, OfBatch())
        self._station = Station(work.batch, reader, files)
        self._unwanted: set[int] = set()

    def read(self, chunk: int, rows: list[InspectionRow]) -> Found:
        found = self._station.read(chunk, rows)
        if chunk in self._unwanted:
            self._station.forget(chunk)
        return found

    def answer(self, chunk: int, question: Question) -> dict[str, Columns]:
        return self._station.answer(chunk, self._inspector, question)

    def forget(self, chunk: int) -> None:
        self._unwanted.add(chunk)
        self._station.forget(chunk)


@dataclass(eq=False)
class _Place:
    """An actor, and the chunks that it has."""

    actor: Any
    node: str
    host: str
    core: int
    ready: bool = False
    chunks: set[int] = field(default_factory=set)


class _RayCrew:
    """The actors for one batch."""

    deep = MOST_CHUNKS

    def __init__(self, ray: ModuleType, work: Work, bundle: LoadedBundle, files: Files) -> None:
        self._ray, self._bundle = ray, bundle
        self._work = Work(work.batch, work.files, work.limits, frozenset(files.mark() or ()))
        self._parcel: Any = None
        self._places: list[_Place] = []
        self._begun: dict[Any, tuple[_Place, int | None]] = {}  # by what Ray will answer
        self._has: dict[int, _Place] = {}  # who has a chunk
        self._queue: deque[tuple[int, list[InspectionRow]]] = deque()
        self._failures: Counter[str] = Counter()
        self._looked = self._none_since = 0.0

    def fits(self, batch: BatchRow, bundle: LoadedBundle) -> bool:
        return (self._work.batch.id, self._bundle.version) == (batch.id, bundle.version)

    @property
    def has_room(self) -> bool:
        free = sum(MOST_CHUNKS - len(place.chunks) for place in self._places if place.ready)
        return len(self._queue) < max(free, 1)

    def read(self, chunk: int, bundle: LoadedBundle, rows: list[InspectionRow]) -> None:
        self._queue.append((chunk, rows))

    def ask(self, chunk: int, question: Question) -> None:
        place = self._has[chunk]
        answer = place.actor.answer.options(concurrency_group="answer")
        self._begun[answer.remote(chunk, question)] = place, chunk

    def wait(self) -> list[tuple[int, Done]]:
        self._muster()
        self._give()
        if not self._begun:
            time.sleep(WAIT_SECONDS)
            return []
        ended, _ = self._ray.wait([*self._begun], num_returns=1, timeout=WAIT_SECONDS)
        found = []
        for answer in ended:
            place, chunk = self._begun.pop(answer)
            done = self._get(place, answer)
            if chunk is None:
                self._prepared(place, done)
            elif self._has.get(chunk) is place:
                if not isinstance(done, Found):
                    self._let_go(chunk)
                found.append((chunk, done))
        return found

    def forget(self, *chunks: int) -> None:
        self._queue = deque(waiting for waiting in self._queue if waiting[0] not in chunks)
        for chunk in chunks:
            if place := self._has.get(chunk):
                place.actor.forget.remote(chunk)
                self._let_go(chunk)

    def dismiss(self) -> None:
        for place in list(self._places):
            self._lose(place)

    def _muster(self) -> None:
        """Have an actor on each core of each machine that there is now."""
        present = time.monotonic()
        if present - self._looked < LOOK_SECONDS:
            return
        self._looked = present
        if any(place.ready for place in self._places) or not self._none_since:
            self._none_since = present
        elif present - self._none_since > READY_SECONDS:
            self._none_since = 0.0
            raise AwayError(
                "no core of the Ray cluster is free. It is waited for; add a machine (ray start), "
                "or let others end what they do there"
            )
        for node in self._ray.nodes():
            name, host = node["NodeID"], node["NodeManagerHostname"]
            if not node["Alive"] or self._failures[name] >= MOST_FAILURES:
                continue
            cores = int(node["Resources"].get("CPU", 0))
            for _ in range(cores - sum(place.node == name for place in self._places)):
                self._start(name, host)

    def _start(self, node: str, host: str) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if self._parcel is None:
            self._parcel = self._ray.put(pack(self._bundle))
        taken = {place.core for place in self._places if place.host == host}
        core = next(i for i in range(len(taken) + 1) if i not in taken)
        groups = {"read": READS, "answer": 1}
        where = NodeAffinitySchedulingStrategy(node, soft=False)
        on_core = self._ray.remote(num_cpus=1, concurrency_groups=groups)(Remote)
        actor = on_core.options(scheduling_strategy=where).remote()
        place = _Place(actor, node, host, core)
        self._places.append(place)
        self._begun[actor.prepare.remote(core, self._work, self._parcel)] = place, None

    def _prepared(self, place: _Place, done: Done | None) -> None:
        if not isinstance(done, Exception):
            place.ready, self._failures[place.node] = True, 0
            return
        self._lose(place)
        self._failures[place.node] += 1
        log.warning("%s: an actor cannot work there: %s", place.host, done)
        if self._failures[place.node] >= MOST_FAILURES and not self._places:
            self._failures.clear()  # tried again, from the next sitting on
            raise done

    def _give(self) -> None:
        """Give what is in the queue to those who have the least."""
        while self._queue:
            free = [p for p in self._places if p.ready and len(p.chunks) < MOST_CHUNKS]
            if not free:
                return
            place = min(free, key=lambda one: len(one.chunks))
            chunk, rows = self._queue.popleft()
            place.chunks.add(chunk)
            self._has[chunk] = place
            read = place.actor.read.options(concurrency_group="read")
            self._begun[read.remote(chunk, rows)] = place, chunk

    def _get(self, place: _Place, answer: Any) -> Any:
        """What an actor answered, or raised; StationLostError where it is gone."""
        from ray.exceptions import RayError, RayTaskError

        try:
            return self._ray.get(answer)
        except RayTaskError as error:
            return error.cause
        except RayError as error:
            self._lose(place)
            return StationLostError(f"an actor on {place.host} is gone ({type(error).__name__})")

    def _let_go(self, chunk: int) -> None:
        self._has.pop(chunk).chunks.discard(chunk)

    def _lose(self, place: _Place) -> None:
        """End an actor; what it was at comes to nothing, as Ray says for each."""
        if place in self._places:
            self._places.remove(place)
            self._looked = 0.0
            with suppress(Exception):  # whatever ended it already
                self._ray.kill(place.actor)
