"""A place that fsspec reaches: a folder, S3 or another object store.

The libraries of object stores raise errors of their own where the network, the rights or the store
are at fault, and remember what a folder held, which others may have changed since. Here every
trouble is an OSError, and nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Place:
    """What lies at and below `url`. Every method raises OSError, FileNotFoundError where nothing is
    there; paths are as the file system has them, `root` that of the URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self._troubles():
            self._system, self.root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self.is_local = isinstance(self._system, LocalFileSystem)

    def read(self, path: str, most: int | None = None) -> bytes:
        """The content, or its first `most` bytes."""
        with self._troubles():
            if most is None:
                return bytes(self._system.cat_file(path))
            try:
                return bytes(self._system.cat_file(path, start=0, end=most))
            except Exception:
                if self._system.size(path):
                    raise
                return b""  # of which object stores refuse to give a part

    def write(self, path: str, data: bytes) -> None:
        with self._troubles():
            self._system.pipe_file(path, data)

    def remove(self, path: str) -> None:
        with self._troubles():
            self._system.rm_file(path)

    def exists(self, path: str) -> bool:
        with self._troubles():
            return bool(self._system.exists(path))

    def about(self, path: str) -> dict[str, Any]:
        with self._troubles():
            return dict(self._system.info(path))

    def below(self, path: str) -> dict[str, dict[str, Any]]:
        """All files below a folder, sorted, with what is known of each; the file itself where it is
        one, none where nothing is there."""
        with self._troubles():
            return dict(self._system.find(path, detail=True))

    def url_of(self, path: str) -> str:
        return str(self._system.unstrip_protocol(path))

    @contextmanager
    def opened(self, path: str) -> Iterator[BinaryIO]:
        with self._troubles(), self._system.open(path) as file:
            yield file

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise OSError(None, said, self.url) from error
