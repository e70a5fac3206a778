"""Keep what was found, keyed by the content of the set: opening it again is instant.

A file's digest is remembered by its path, size and time of change, so that a second opening reads
no pixel; a copied or moved folder is read once, recognised by its content, and not measured again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from defectvision import atomic
from defectvision.data.image_set import ImageSet
from defectvision.roots import opened

# Raise it when a measure or a threshold changes: older studies are then made anew.
VERSION = 4
STUDIES = 24  # kept; the longest unused go
TOLD = 16  # files between two words on how far it is
SAVE_SECONDS = 10.0  # between two savings of what was read: a kill costs no more

Digest = list[int | str]  # [size, time of change, digest]
Digests = dict[str, Digest]
UNREADABLE: Digest = [0, 0, ""]


def study_key(image_set: ImageSet, advance: Callable[[int, int], None], folder: Path) -> str:
    """A digest of all that a study depends on: files, masks, labels, annotations, this version."""
    names = _files(image_set)
    memory, known = _remembered(image_set, folder)
    now: Digests = {}
    saved = time.monotonic()
    for done, name in enumerate(names, 1):
        now[name] = _digest(image_set.catalog.root / name, known.get(name))
        if done % TOLD == 0 or done == len(names):
            advance(done, len(names))
        if time.monotonic() - saved >= SAVE_SECONDS:
            atomic.write_text(memory, json.dumps(known | now))
            saved = time.monotonic()
    if now != known and names:
        atomic.write_text(memory, json.dumps(now))
    return _key(image_set, now)


def known_key(image_set: ImageSet, folder: Path) -> str | None:
    """`study_key` where it can be told without reading an image; else None."""
    _, known = _remembered(image_set, folder)
    now: Digests = {}
    for name in _files(image_set):
        file = image_set.catalog.root / name
        try:
            status = file.stat()
            if known[name][:2] != [status.st_size, status.st_mtime_ns]:
                return None
            now[name] = known[name]
        except KeyError:
            return None
        except OSError:
            now[name] = UNREADABLE
    return _key(image_set, now)


def _files(image_set: ImageSet) -> list[str]:
    """Images and masks, by their paths below the root."""
    if not image_set.has_images:
        return []
    table, rows = image_set.catalog.table, image_set.annotations
    marked = rows.loc[rows["kind"] == "file", "shape"]
    return list(dict.fromkeys([*table["path"], *(m for m in table["mask"] if m), *marked]))


def _remembered(image_set: ImageSet, folder: Path) -> tuple[Path, Digests]:
    """Where the digests of a set's files are kept, and those that are."""
    memory = folder / "digests" / f"{_short(str(image_set.catalog.root.resolve()))}.json"
    return memory, _load(memory)


def _key(image_set: ImageSet, digests: Digests) -> str:
    catalog = image_set.catalog
    total = hashlib.sha256(
        f"{VERSION}\n{image_set.has_images}\n{image_set.limit_pixels}\n{image_set.bits}\n".encode()
    )
    for name, digest in digests.items():
        total.update(f"{name}\0{digest[-1]}\n".encode())
    classes = catalog.root / "classes.csv"
    if image_set.has_images and classes.is_file():
        total.update(classes.read_bytes())
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
        with opened(file) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return [status.st_size, status.st_mtime_ns, digest]
    except OSError:
        return UNREADABLE


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
