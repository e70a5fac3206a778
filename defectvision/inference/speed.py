"""How fast bundles are on this machine: measured in the background, one at a time, and kept in the
cache by the bundle's version."""

from __future__ import annotations

import logging
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock, Thread

from pydantic import ValidationError

from defectvision import atomic
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.trial import RUNS, Speed, try_bundle

log = logging.getLogger(__name__)


class Measured(Speed):
    """A speed, and on which machine and when it was measured."""

    machine: str
    at: datetime


@dataclass(frozen=True)
class Look:
    """What is known of a bundle's speed: whether it is being measured, and what prevented it."""

    measured: Measured | None
    running: bool = False
    problem: str = ""


_running: set[Path] = set()
_problems: dict[Path, str] = {}
_lock, _turn = Lock(), Lock()


def look_at_speed(loaded: LoadedBundle, cache: Path) -> Look:
    """What is known now; figures of another machine that shares the cache are not this one's."""
    file = _file(loaded, cache)
    try:
        found = Measured.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        found = None
    if found is not None and found.machine != platform.node():
        found = None
    with _lock:
        return Look(found, file in _running, _problems.get(file, ""))


def measure_speed(loaded: LoadedBundle, cache: Path) -> None:
    """Begin to measure, unless it is being measured already."""
    file = _file(loaded, cache)
    with _lock:
        if file in _running:
            return
        _running.add(file)
        _problems.pop(file, None)

    def work() -> None:
        problem = ""
        try:
            with _turn:  # two at once would slow each other
                folder = loaded.folder
                speed = try_bundle(folder.parents[1], folder.parent.name, folder.name, RUNS)
            kept = Measured(**speed.model_dump(), machine=platform.node(), at=datetime.now(UTC))
            atomic.write_text(file, kept.model_dump_json(indent=1))
        except BundleError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{error.filename or file}: cannot be written ({error.strerror or error})"
        finally:
            with _lock:
                _running.discard(file)
                if problem:
                    log.warning("the speed of %s was not measured: %s", loaded.folder, problem)
                    _problems[file] = problem

    Thread(target=work, name=f"speed of {loaded.bundle.name}", daemon=True).start()


def _file(loaded: LoadedBundle, cache: Path) -> Path:
    return cache / "speed" / f"{loaded.version}.json"
