"""Files named by the SHA-256 of their content, in a folder or at any fsspec URL (S3 and others).

A name is written only when the whole content is there: on a disk through a temporary name and a
rename, in an object store by its own rule that a put is seen whole or not at all. A crash leaves
at most a temporary file. Nothing is removed here but by its name; see store/dropped.py for when.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from defectvision.atomic import write_bytes
from defectvision.store.elsewhere import Place
from defectvision.store.errors import LostFileError, StoreError

YOUNG_SECONDS = 3600  # in which a row may be about to name a file that was just put
HALF_WRITTEN_SECONDS = 7 * 86_400  # after which a temporary file is what a crash left
MARK = "store.json"  # of the databases whose files these are
HEX = frozenset("0123456789abcdef")


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Files:
    """Content by its digest below `url`, in 256 folders."""

    def __init__(self, url: str):
        """Raises OSError where there is no such kind of place."""
        self.url, self._place = url, Place(url)
        self._root, self._local = self._place.root, self._place.is_local

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine's disks or shares; None elsewhere."""
        return Path(self._root) if self._local else None

    def touch(self) -> None:
        """Write a file beside the others, read it and remove it. Raises OSError where one of them
        cannot be done."""
        # Named so that `remove_half_written` removes what a crash leaves.
        path, data = f"{self._root}/.{token_hex(32)}.touched", token_hex(32).encode()
        self._put(path, data)
        try:
            if self._place.read(path) != data:
                raise OSError("a file holds something else than was just written to it")
        finally:
            self._place.remove(path)

    def put(self, data: bytes) -> str:
        """Keep `data`; returns its digest. What is there already is made young again, so that it is
        not removed before a row names it, and is mended where it was damaged."""
        digest = digest_of(data)
        path = self._path(digest)
        try:
            if self._local and Path(path).read_bytes() == data:
                os.utime(path)
                return digest
        except OSError:  # not there, or not to be read: written anew
            pass
        self._write(path, data)
        return digest

    def _put(self, path: str, data: bytes) -> None:
        if self._local:
            write_bytes(Path(path), data)
        else:
            self._place.write(path, data)

    def _write(self, path: str, data: bytes) -> None:
        try:
            self._put(path, data)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror or error}). Free space, or move the "
                "store (DEFECTVISION_STORE)"
            ) from error

    def get(self, digest: str) -> bytes:
        """The content; raises StoreError where it is missing or not what its name says."""
        path = self._path(digest)
        try:
            data = self._place.read(path)
        except FileNotFoundError as error:
            if not self._place.exists(self._root):
                raise StoreError(
                    f"{self._root}: is gone. It holds the store's files; put it back, or mount the "
                    "share again"
                ) from error
            raise LostFileError(
                f"{path}: is missing. It was removed from the store; inspect the image again"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be read ({error.strerror or error}). Check the disk or the share "
                "of the store"
            ) from error
        if digest_of(data) != digest:
            raise LostFileError(f"{path}: is damaged. Inspect the image again")
        return data

    def has(self, digest: str) -> bool:
        return self._place.exists(self._path(digest))

    def is_whole(self, digest: str) -> bool:
        """Whether the content is there and undamaged. Raises StoreError where none can be read."""
        try:
            self.get(digest)
        except LostFileError:
            return False
        return True

    def usage(self) -> tuple[int, int]:
        """Files and bytes that are kept."""
        sizes = [about.get("size") or 0 for _, about in self._all()]
        return len(sizes), sum(sizes)

    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return next(self._all(), None) is None

    def remove(self, digest: str) -> int | None:
        """Remove a file; returns its bytes, None where it stays, as it was put a moment ago. Raises
        FileNotFoundError where it is gone already, and OSError where it cannot be removed."""
        path = self._path(digest)
        entry = self._place.about(path)
        if abs(time.time() - _written(entry)) < YOUNG_SECONDS:
            return None
        self._place.remove(path)
        return int(entry.get("size") or 0)

    def remove_half_written(self) -> tuple[int, int]:
        """Remove what crashes left under temporary names; returns files and bytes."""
        files = size = 0
        for path, entry in self._below(lambda name: name.startswith(".") and len(name) > 64):
            if abs(time.time() - _written(entry)) >= HALF_WRITTEN_SECONDS:
                self._place.remove(path)
                files, size = files + 1, size + int(entry.get("size") or 0)
        return files, size

    def mark(self) -> dict[str, int] | None:
        """What `set_mark` wrote; None where nothing did. Raises StoreError where it is damaged."""
        path = f"{self._root}/{MARK}"
        try:
            found = json.loads(self._place.read(path))
            return {str(name): int(count) for name, count in found["databases"].items()}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{path}: cannot be read ({error})") from error

    def set_mark(self, databases: dict[str, int]) -> None:
        """Write beside the files whose they are: how often each database wrote, by its identity."""
        text = json.dumps({"databases": databases}, indent=1) + "\n"
        self._write(f"{self._root}/{MARK}", text.encode())

    def _all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        return self._below(lambda name: len(name) == 64 and set(name) <= HEX)

    def _below(self, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, entry in self._place.below(self._root).items():
            if wanted(path.rpartition("/")[2]):
                yield path, entry

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not set(digest) <= HEX:
            raise StoreError(f"'{digest}' is not a SHA-256")
        return f"{self._root}/{digest[:2]}/{digest}"


def _written(entry: dict[str, Any]) -> float:
    """When a file was written, in s since 1970; each file system has its own word for it."""
    words = ("mtime", "LastModified", "created")
    found = next((entry[word] for word in words if entry.get(word) is not None), 0.0)
    return found.timestamp() if isinstance(found, datetime) else float(found)
