"""Files named by the SHA-256 of their content, in a folder or at any fsspec URL (S3 and others).

A name is written only when the whole content is there: on a disk through a temporary name and a
rename, in an object store by its own rule that a put is seen whole or not at all. A crash leaves
at most a temporary file, which `sweep` removes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Container, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from defectvision.atomic import write_bytes
from defectvision.store.errors import StoreError

STALE_SECONDS = 3600


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Files:
    """Content by its digest below `url`, in 256 folders."""

    def __init__(self, url: str):
        self.url = url
        self._system, self._root = fsspec.core.url_to_fs(url)
        self._local = isinstance(self._system, LocalFileSystem)

    def put(self, data: bytes) -> str:
        """Keep `data`; returns its digest. What is there already is only made young again, so that
        `sweep` leaves it until a row names it."""
        digest = digest_of(data)
        path = self._path(digest)
        if not self._local:
            self._system.pipe_file(path, data)
            return digest
        try:
            os.utime(path)
            return digest
        except FileNotFoundError:
            pass
        try:
            write_bytes(Path(path), data)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error.strerror}). Free space, or move the store "
                "(DEFECTVISION_STORE)"
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """The content; raises StoreError where it is missing or not what its name says."""
        path = self._path(digest)
        try:
            data: bytes = self._system.cat_file(path)
        except FileNotFoundError as error:
            raise StoreError(
                f"{path}: is missing. It was removed from the store; inspect the image again"
            ) from error
        if digest_of(data) != digest:
            raise StoreError(f"{path}: is damaged. Inspect the image again")
        return data

    def has(self, digest: str) -> bool:
        return bool(self._system.exists(self._path(digest)))

    def usage(self) -> tuple[int, int]:
        """Files and bytes that are kept."""
        sizes = [about.get("size") or 0 for _, about in self._all()]
        return len(sizes), sum(sizes)

    def sweep(self, named: Container[str], seconds: float = STALE_SECONDS) -> tuple[int, int]:
        """Remove what is not `named` any more and what a crash left half-written, unless it is
        younger than `seconds`, when a row may be about to name it. Returns files and bytes."""
        files = size = 0
        for path, about in self._all():
            name = path.rpartition("/")[2]
            if name in named or time.time() - _written(about) < seconds:
                continue
            self._system.rm_file(path)
            files, size = files + 1, size + (about.get("size") or 0)
        return files, size

    def _all(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._system.exists(self._root):
            yield from self._system.find(self._root, detail=True).items()

    def _path(self, digest: str) -> str:
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise StoreError(f"'{digest}' is not a SHA-256")
        return f"{self._root}/{digest[:2]}/{digest}"


def _written(entry: dict[str, Any]) -> float:
    """When a file was written, in s since 1970; each file system has its own word for it."""
    words = ("mtime", "LastModified", "created")
    found = next((entry[word] for word in words if entry.get(word) is not None), 0.0)
    return found.timestamp() if isinstance(found, datetime) else float(found)
