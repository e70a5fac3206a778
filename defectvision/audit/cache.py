"""Keep what was found, keyed by the content of the set: opening it again is instant.

A file's digest is remembered by its path, size and time of change, so that a second opening reads
no pixel; a copied or moved folder is read once, recognised by its content, and not measured again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from defectvision import atomic
from defectvision.data.image_set import ImageSet

# Raise it when a measure or a threshold changes: older studies are then made anew.
VERSION = 3
STUDIES = 24  # kept; the longest unused go

Digest = list[int | str]  # [size, time of change, digest]
Digests = dict[str, Digest]


def study_key(image_set: ImageSet, advance: Callable[[int, int], None], folder: Path) -> str:
    """A digest of all that a study depends on: files, masks, labels, annotations, this version."""
    catalog = image_set.catalog
    memory = folder / "digests" / f"{_short(str(catalog.root.resolve()))}.json"
    known = _load(memory)
    total = hashlib.sha256(
        f"{VERSION}\n{image_set.has_images}\n{image_set.limit_pixels}\n{image_set.bits}\n".encode()
    )
    now: Digests = {}
    if image_set.has_images:
        rows = image_set.annotations
        names = [
            *catalog.table["path"],
            *(m for m in catalog.table["mask"] if m),
            *rows.loc[rows["kind"] == "file", "shape"],
        ]
        for done, name in enumerate(dict.fromkeys(names), 1):
            now[name] = _digest(catalog.root / name, known.get(name))
            total.update(f"{name}\0{now[name][-1]}\n".encode())
            if done % 256 == 0:
                advance(done, len(names))
        classes = catalog.root / "classes.csv"
        if classes.is_file():
            total.update(classes.read_bytes())
        if now != known:
            atomic.write_text(memory, json.dumps(now))
    total.update(catalog.table.to_csv(index=False).encode())
    total.update("\n".join(map(str, catalog.left_out)).encode())
    total.update(image_set.annotations.to_csv(index=False).encode())
    return total.hexdigest()[:32]


def _digest(file: Path, known: Digest | None) -> Digest:
    """The digest is '' for a file that cannot be read."""
    try:
        status = file.stat()
        if known and known[:2] == [status.st_size, status.st_mtime_ns]:
            return known
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return [status.st_size, status.st_mtime_ns, digest]
    except OSError:
        return [0, 0, ""]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _load(file: Path) -> Digests:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_folder(place: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder that then appears at `place` whole, or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix=".writing-"))
    try:
        write(temporary)
        atomic.replace_folder(temporary, place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    older = sorted(
        (f for f in place.parent.iterdir() if f.is_dir() and not f.name.startswith(".")),
        key=lambda f: f.stat().st_mtime,
    )
    for folder in older[:-STUDIES]:
        shutil.rmtree(folder, ignore_errors=True)
