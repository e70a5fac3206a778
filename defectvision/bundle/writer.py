"""Write a bundle: whole files, a finished folder moved into place, figures added later."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from defectvision import atomic
from defectvision.bundle.card import write_card
from defectvision.bundle.line import Line
from defectvision.bundle.reader import read_line
from defectvision.bundle.schema import (
    ABOUT_FILE,
    FINGERPRINTS_FILE,
    LINE_FILE,
    Bundle,
    Gate,
    Metrics,
)


def file_hash(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; raises OSError."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def write_about(folder: Path, bundle: Bundle) -> None:
    """Write the bundle's own file into its folder."""
    _write_json(folder / ABOUT_FILE, bundle.model_dump(mode="json"))


def publish(fresh: Path, line_folder: Path, line: Line, name: str) -> None:
    """Move a finished bundle of `line` into place. The line's own file is written where there is
    none; else it names the defects of `line` besides, see `Line.joined`."""
    atomic.replace_folder(fresh, line_folder / name)
    _join(line_folder, line)


def add(fresh: Path, line_folder: Path, line: Line, name: str) -> None:
    """Move a finished bundle to where there is none, as `publish` does; a line that comes with it
    has it as its default. Raises OSError, FileExistsError where one is there."""
    atomic.add_folder(fresh, line_folder / name)
    _join(line_folder, line.model_copy(update={"default_bundle": name}))


def _join(line_folder: Path, line: Line) -> None:
    with alone(line_folder):
        if not (line_folder / LINE_FILE).is_file():
            write_line(line_folder, line)
            return
        here = read_line(line_folder)
        if (joined := here.joined(line)) not in (None, here):
            write_line(line_folder, joined)


@contextmanager
def alone(line_folder: Path) -> Iterator[None]:
    """No other process writes the line's own file meanwhile."""
    place = os.open(line_folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def write_line(line_folder: Path, line: Line) -> None:
    """Write the line's own file whole; raises OSError."""
    _write_json(line_folder / LINE_FILE, line.model_dump(mode="json"))


def retitle(line_folder: Path, title: str) -> None:
    """Give a line another title, which no verdict depends on; raises BundleError and OSError."""
    with alone(line_folder):
        write_line(line_folder, read_line(line_folder).model_copy(update={"title": title}))


def record_metrics(folder: Path, metrics: Metrics, caution: str = "") -> None:
    """Add `metrics` to bundle.json, replacing those of the same split and data, and renew the
    model card. Figures of images that the bundle has not seen come first. caution: what of them a
    user must know first, in Markdown; it replaces the recipe's."""
    bundle = Bundle.model_validate_json((folder / ABOUT_FILE).read_bytes())
    kept = [m for m in bundle.metrics if (m.split, m.data) != (metrics.split, metrics.data)]
    ordered = sorted((*kept, metrics), key=lambda m: m.seen)
    bundle = bundle.model_copy(update={"metrics": tuple(ordered)})
    if caution:
        told = {**bundle.provenance["recipe"], "caution": caution}
        bundle = bundle.model_copy(update={"provenance": {**bundle.provenance, "recipe": told}})
    write_about(folder, bundle)
    write_card(folder, bundle)


def record_gate(folder: Path, gate: Gate, content: bytes) -> Bundle:
    """Put a measured gate, and the content of its file, into a bundle that exists; its model stays
    as it is. The model card is renewed."""
    bundle = Bundle.model_validate_json((folder / ABOUT_FILE).read_bytes())
    bundle = _with_file(folder, bundle, gate.file, content)
    bundle = bundle.model_copy(update={"gate": gate})
    write_about(folder, bundle)
    write_card(folder, bundle)
    return bundle


def record_calibration(folder: Path, calibrated: Bundle, figures: Metrics | None = None) -> None:
    """Put a calibration and the policy that goes with it, those of `calibrated`, into a bundle that
    exists. Its figures of before are dropped for `figures`, except those of a cross-validation,
    which are the recipe's. The model card is renewed."""
    bundle = Bundle.model_validate_json((folder / ABOUT_FILE).read_bytes())
    folds = bool((bundle.provenance["recipe"].get("split") or {}).get("folds"))
    metrics = bundle.metrics if folds or figures is None else ()
    changed = {
        "calibration": calibrated.calibration,
        "policy": calibrated.policy,
        "metrics": metrics if figures is None else (*metrics, figures),
    }
    bundle = bundle.model_copy(update=changed)
    write_about(folder, bundle)
    write_card(folder, bundle)


def record_fingerprints(folder: Path, content: bytes) -> None:
    """Put the fingerprints of what it learned from into a bundle that exists; no verdict depends on
    them. The model card is renewed."""
    bundle = Bundle.model_validate_json((folder / ABOUT_FILE).read_bytes())
    bundle = _with_file(folder, bundle, FINGERPRINTS_FILE, content)
    write_about(folder, bundle)
    write_card(folder, bundle)


def _with_file(folder: Path, bundle: Bundle, name: str, content: bytes) -> Bundle:
    """The bundle once it lists the file, which is written."""
    atomic.write_bytes(folder / name, content)
    files = bundle.files | {name: file_hash(folder / name)}
    return bundle.model_copy(update={"files": dict(sorted(files.items()))})


def _write_json(file: Path, content: dict[str, Any]) -> None:
    atomic.write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
