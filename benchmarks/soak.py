"""Whether a server that works for hours stays as it was, and loses nothing.

    python -m benchmarks.soak --minutes 60 --clients 16

A real server on a store of its own. Each client sends a picture, a damaged file or a zip file every
--pace seconds, and lists batches, reads results or inspects without keeping in between. A folder is
watched: files are written into it every few seconds, some again under the same name, some in two
halves. The memory, handles and threads of the server's processes are read every 10 s. At the end
each file that was accepted must have exactly one answer and each damaged one exactly one failure
with its reason; a slope is Theil and Sen's, with its 95 % interval, after the first quarter.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import random
import statistics
import sys
import tempfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import httpx
import numpy as np
import psutil
from scipy.stats import theilslopes
from sqlalchemy import select

from defectvision.data.synthetic.samples import draw
from defectvision.settings import Settings
from defectvision.store.batches import ACTIVE
from defectvision.store.database import open_store
from defectvision.store.files import digest_of
from defectvision.store.tables import ImageState, InspectionRow
from tests.stand_ins.server import serving

TOKEN = "soak-soak-soak-soak"
SAMPLE_SECONDS, FILE_SECONDS, HALF_SECONDS, DRAIN_SECONDS = 10.0, 4.0, 2.5, 300.0
CAMERA_NAMES = 20  # that the camera writes again
DAMAGED = {
    "empty.jpg": lambda _: b"",
    "text.png": lambda _: b"this is no picture",
    "half.jpg": lambda picture: picture[: len(picture) // 2],
    "zeros.jpg": lambda picture: picture[: len(picture) // 2] + bytes(len(picture) // 2),
}


class Sample(NamedTuple):
    """Of the server's processes together, at a moment in s."""

    at: float
    memory_mb: float
    handles: int
    threads: int


@dataclass
class Ledger:
    """What was given, and what must have become of it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    batches: dict[int, dict[str, ImageState]] = field(default_factory=dict)
    watched: set[str] = field(default_factory=set)  # digests of good pictures
    damaged: set[str] = field(default_factory=set)  # names of the other watched files
    asked: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def count(self, what: str, seconds: float) -> None:
        with self.lock:
            self.asked[what] += 1
            self.seconds.append(seconds)

    def fault(self, what: str) -> None:
        with self.lock:
            self.faults.append(what)


class Pictures:
    """Castings as JPEG, each another file."""

    def __init__(self) -> None:
        kinds = ("ok", "def")
        self._drawn = [
            cv2.imencode(".jpg", draw("casting", kinds[i % 2], np.random.default_rng(i), 300))[1]
            for i in range(24)
        ]
        self._lock, self._number = threading.Lock(), 0

    def new(self) -> bytes:
        with self._lock:
            self._number += 1
            number = self._number
        return self._drawn[number % len(self._drawn)].tobytes() + number.to_bytes(8, "big")


class Client:
    """One program that uses the server, at a pace of its own."""

    def __init__(self, number: int, url: str, ledger: Ledger, pictures: Pictures) -> None:
        self.rng, self.ledger, self.pictures = random.Random(number), ledger, pictures
        self.mine: list[int] = []
        self.http = httpx.Client(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
            # The server closes what said nothing for 5 s; who sends at that moment gets a reset.
            limits=httpx.Limits(keepalive_expiry=2.0),
        )

    def work(self, pace: float, stop: threading.Event) -> None:
        stop.wait(self.rng.uniform(0, pace))
        while not stop.is_set():
            begun = time.monotonic()
            self._do(self.rng.choice((self._upload, self._upload, self._damaged, self._packed)))
            stop.wait(self.rng.uniform(0.3, 0.5) * pace)
            self._do(self.rng.choice((self._list, self._read, self._inspect)))
            stop.wait(max(0.0, begun + self.rng.uniform(0.8, 1.2) * pace - time.monotonic()))
        self.http.close()

    def _do(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:
            self.ledger.fault(f"{what.__name__}: {type(error).__name__}: {error}")

    def _ask(self, expected: int, method: str, path: str, **how: object) -> httpx.Response:
        begun = time.perf_counter()
        answer = self.http.request(method, path, **how)
        self.ledger.count(f"{method} {path.rstrip('0123456789')}", time.perf_counter() - begun)
        if answer.status_code != expected:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer

    def _send(self, name: str, data: bytes, become: dict[str, ImageState]) -> None:
        sent = {"files": [("files", (name, data))], "data": {"line": "casting"}}
        number = self._ask(201, "POST", "/uploads", **sent).json()["id"]
        self.mine.append(number)
        with self.ledger.lock:
            self.ledger.batches[number] = become

    def _upload(self) -> None:
        self._send("part.jpg", self.pictures.new(), {"part.jpg": ImageState.DONE})

    def _damaged(self) -> None:
        name, damage = self.rng.choice(list(DAMAGED.items()))
        self._send(name, damage(self.pictures.new()), {name: ImageState.FAILED})

    def _packed(self) -> None:
        packed, become = io.BytesIO(), {}
        with zipfile.ZipFile(packed, "w") as archive:
            for name, state in (("a.jpg", ImageState.DONE), ("b.jpg", ImageState.FAILED)):
                data = self.pictures.new()
                archive.writestr(name, data if state == ImageState.DONE else data[:-4000])
                become[f"lot.zip/{name}"] = state
        self._send("lot.zip", packed.getvalue(), become)

    def _list(self) -> None:
        self._ask(200, "GET", "/batches", params={"most": 50})

    def _read(self) -> None:
        if self.mine:
            self._ask(200, "GET", f"/batches/{self.rng.choice(self.mine)}")

    def _inspect(self) -> None:
        sent = {"files": {"file": ("part.jpg", self.pictures.new())}, "data": {"line": "casting"}}
        self._ask(200, "POST", "/inspect", **sent)


def _camera(folder: Path, pictures: Pictures, ledger: Ledger, stop: threading.Event) -> None:
    """Writes files until `stop`, and the last one whole."""
    rng, names, number = random.Random(0), itertools.cycle(range(CAMERA_NAMES)), 0
    while not stop.is_set():
        number += 1
        data, name, damaged = pictures.new(), f"part-{number:06d}.jpg", False
        match rng.randrange(4):
            case 0:
                name = f"cap-{next(names)}.jpg"
            case 1:
                half = folder / name
                half.write_bytes(data[: len(data) // 2])
                time.sleep(HALF_SECONDS)
            case 2 if rng.random() < 0.3:
                data, damaged = data[: len(data) // 3], True
        (folder / name).write_bytes(data)
        with ledger.lock:
            if damaged:
                ledger.damaged.add(name)
            else:
                ledger.watched.add(digest_of(data))
        stop.wait(FILE_SECONDS)


def _sample(server: int, begun: float) -> Sample:
    root = psutil.Process(server)
    memory, handles, threads = 0, 0, 0
    for process in (root, *root.children(recursive=True)):
        try:
            memory += process.memory_info().rss
            handles += process.num_fds()
            threads += process.num_threads()
        except psutil.NoSuchProcess:
            continue
    return Sample(time.monotonic() - begun, memory / 1e6, handles, threads)


def _verify(store: Path, watching: int, ledger: Ledger) -> list[str]:
    """What was lost, counted twice or decided wrongly."""
    with open_store(store).reading() as session:
        rows = session.execute(
            select(
                InspectionRow.batch_id,
                InspectionRow.name,
                InspectionRow.state,
                InspectionRow.digest,
                InspectionRow.reason,
                InspectionRow.remedy,
            )
        ).all()
    failed = [row for row in rows if row.state == ImageState.FAILED]
    wrong = [f"{r.name}: failed without a reason" for r in failed if not (r.reason and r.remedy)]
    found: dict[int, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row.batch_id, []).append((row.name, row.state))
    for number, become in ledger.batches.items():
        if sorted(found.get(number, [])) != sorted(become.items()):
            wrong.append(f"batch {number}: {found.get(number)} in place of {become}")
    answers = Counter(
        row.digest for row in rows if row.batch_id == watching and row.state == ImageState.DONE
    )
    for digest in ledger.watched:
        if answers[digest] != 1:
            wrong.append(f"watched: {answers[digest]} answers to {digest}")
    names = {row.name for row in failed if row.batch_id == watching}
    if names != ledger.damaged:
        wrong.append(f"watched: failures of {names} in place of {ledger.damaged}")
    return wrong


def _quarters(samples: list[Sample]) -> None:
    kept = samples[len(samples) // 4 :]
    hours = [sample.at / 3600 for sample in kept]
    for name in ("memory_mb", "handles", "threads"):
        values = [getattr(sample, name) for sample in kept]
        slope, _, low, high = theilslopes(values, hours)
        quarter = max(1, len(values) // 4)
        first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
        print(f"{name}: {first:.0f} in the first quarter, {last:.0f} in the last, most "
              f"{max(values):.0f}; {slope:+.2f} an hour ({low:+.2f} to {high:+.2f})")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--pace", type=float, default=8.0, help="s between two uploads of a client")
    parser.add_argument("--samples", type=Path, help="file to write the samples to")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        wrong = _soak(Path(folder), asked)
    sys.exit(1 if wrong else 0)


def _soak(folder: Path, asked: argparse.Namespace) -> bool:
    camera = folder / "camera"
    camera.mkdir()
    ledger, pictures, stop = Ledger(), Pictures(), threading.Event()
    environment = {
        "DEFECTVISION_API_TOKENS": json.dumps({"soak": TOKEN}),
        "DEFECTVISION_API_PER_MINUTE": "100000",
        "DEFECTVISION_SOURCE_ROOTS": json.dumps([str(camera)]),
    }
    samples: list[Sample] = []
    with serving(Settings().weights, folder / "server.log", **environment) as server:
        clients = [Client(n, server.url, ledger, pictures) for n in range(asked.clients + 1)]
        last = clients.pop()
        new = {"line": "casting", "path": str(camera), "watch": True}
        watching = last.http.post("/batches", json=new).raise_for_status().json()["id"]
        work = [threading.Thread(target=c.work, args=(asked.pace, stop)) for c in clients]
        work.append(threading.Thread(target=_camera, args=(camera, pictures, ledger, stop)))
        for thread in work:
            thread.start()
        begun = time.monotonic()
        while time.monotonic() - begun < 60 * asked.minutes:
            time.sleep(SAMPLE_SECONDS)
            samples.append(_sample(server.pid, begun))
            if asked.samples:
                asked.samples.write_text("\n".join(",".join(map(str, s)) for s in samples))
        stop.set()
        for thread in work:
            thread.join()
        busy = psutil.Process(server.pid).cpu_times()
        _drain(last.http, watching)
    wrong = ledger.faults + _verify(folder / "store", watching, ledger)
    took = statistics.quantiles(ledger.seconds, n=100)
    states = Counter(s for become in ledger.batches.values() for s in become.values())
    print(f"{asked.minutes:g} min, {asked.clients} clients, {sum(ledger.asked.values())} requests: "
          f"{dict(ledger.asked)}; {took[49]:.2f} s at the median, {took[98]:.2f} s at the 99th of "
          f"100; {(busy.user + busy.system) / (60 * asked.minutes):.2f} cores")  # fmt: skip
    print(f"{len(ledger.batches)} batches of {states[ImageState.DONE]} pictures and "
          f"{states[ImageState.FAILED]} damaged files; {len(ledger.watched)} pictures and "
          f"{len(ledger.damaged)} damaged files in the watched folder")  # fmt: skip
    _quarters(samples)
    print(f"{len(wrong)} lost, twice, or otherwise wrong")
    for line in wrong[:50]:
        print(f"  {line}")
    return bool(wrong)


def _drain(http: httpx.Client, watching: int) -> None:
    """Wait until the batches have ended and the folder's last file had its time."""
    time.sleep(10)
    http.post(f"/batches/{watching}/state", json={"state": "done"})
    deadline = time.monotonic() + DRAIN_SECONDS
    while time.monotonic() < deadline:
        states = {b["state"] for b in http.get("/batches", params={"most": 200}).json()}
        if not states & {*ACTIVE}:
            return
        time.sleep(1)


if __name__ == "__main__":
    main()
