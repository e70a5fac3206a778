"""What a study has measured so far, on disk: a process that ends early costs nothing of it."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from defectvision.audit.feature_store import FeatureStore
from defectvision.audit.near_duplicates import Pair
from defectvision.audit.reading import Reading
from defectvision.copies.alignment import Agreement

T = TypeVar("T")
KEPT = 2  # unfinished studies that nobody works on; their features take about 60 kB a picture


class Unfinished:
    """The folder of one study that has not come to its end.

    Readings and comparisons are appended as lines of JSON; the features of a picture lie beside
    them, and count only with the checksum that its line names. readings: those that are whole, in
    the order in which they were read; agreements: by pair of row numbers.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.features = FeatureStore(folder, count, writable=True)
        self._read, kept = _reopened(folder / "readings.jsonl", self._reading)
        self.readings: dict[int, Reading] = {reading.image: reading for reading in kept if reading}
        self._compared, lines = _reopened(folder / "pairs.jsonl", _agreement)
        self.agreements: dict[Pair, Agreement | None] = dict(lines)

    def add_readings(self, readings: Sequence[Reading]) -> None:
        """Keep what pictures gave."""
        for reading in readings:
            if reading.features is not None:
                self.features.put(reading.image, reading.features)
        self._read.write("".join(map(self._line, readings)).encode())
        self._read.flush()

    def add_agreements(self, pairs: Sequence[Pair], agreements: Sequence[Agreement | None]) -> None:
        """Keep how pairs of pictures compare."""
        self.agreements.update(zip(pairs, agreements, strict=True))
        lines = [
            json.dumps([*pair, *(astuple(found) if found else ())]) + "\n"
            for pair, found in zip(pairs, agreements, strict=True)
        ]
        self._compared.write("".join(lines).encode())
        self._compared.flush()

    def close(self) -> None:
        self._read.close()
        self._compared.close()

    def _line(self, reading: Reading) -> str:
        checksum = None if reading.features is None else self.features.checksum(reading.image)
        coverage = {
            label: base64.b64encode(part.tobytes()).decode()
            for label, part in reading.coverage.items()
        }
        content = {
            "image": reading.image,
            "measures": reading.measures,
            "regions": reading.regions,
            "coverage": coverage,
            "errors": reading.errors,
            "features": checksum,
        }
        return json.dumps(content, default=_plain) + "\n"

    def _reading(self, line: str) -> Reading | None:
        """The reading of a line; None where its features were lost."""
        content = json.loads(line)
        image, checksum = int(content["image"]), content.pop("features")
        if checksum is not None and checksum != self.features.checksum(image):
            return None
        content["coverage"] = {label: _grid(text) for label, text in content["coverage"].items()}
        return Reading(**content)


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()


def _grid(text: str) -> NDArray[np.float32]:
    flat = np.frombuffer(base64.b64decode(text), np.float32)
    side = round(len(flat) ** 0.5)
    return flat.reshape(side, side)


def _agreement(line: str) -> tuple[Pair, Agreement | None]:
    one, other, *found = json.loads(line)
    return (int(one), int(other)), Agreement(*found) if found else None


def _reopened(file: Path, read: Callable[[str], T]) -> tuple[BinaryIO, list[T]]:
    """A file to append to, and what its lines hold; a last line that was cut off is taken away."""
    found: list[T] = []
    stream = file.open("a+b")
    stream.seek(0)
    whole = 0
    for line in stream:
        try:
            if not line.endswith(b"\n"):
                break
            found.append(read(line.decode()))
        except (ValueError, KeyError, TypeError, IndexError):
            break
        whole += len(line)
    stream.truncate(whole)
    return stream, found


@contextmanager
def unfinished(
    cache: Path, key: str, count: int, waiting: Callable[[], None] = lambda: None
) -> Iterator[Unfinished]:
    """The unfinished study `key` of `count` pictures, for this process alone; taken away when the
    block ends well. `waiting` is called before it waits for another process that has it. Raises
    OSError where the cache cannot be written."""
    folder = cache / "unfinished" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(folder)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waiting()
        lock.acquire()
    try:
        _tidy(folder)
        folder.mkdir(exist_ok=True)
        work = Unfinished(folder, count)
        try:
            yield work
        finally:
            work.close()
        _remove(folder)
    finally:
        lock.release()


def _lock_of(folder: Path) -> FileLock:
    return FileLock(folder.with_suffix(".lock"))


def _remove(folder: Path) -> None:
    """Take away a folder and its lock, which this process holds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)


def _tidy(mine: Path) -> None:
    """Take away all but the latest of the studies that nobody goes on with."""
    others = [f for f in mine.parent.iterdir() if f.is_dir() and f != mine]
    for folder in sorted(others, key=_last_used)[: -KEPT or None]:
        try:
            with _lock_of(folder).acquire(timeout=0):
                _remove(folder)
        except (Timeout, OSError):
            continue


def _last_used(folder: Path) -> float:
    return max((f.stat().st_mtime for f in folder.glob("*.jsonl")), default=0.0)
