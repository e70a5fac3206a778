"""Zip files that hold the same bytes for the same content."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath

WRITTEN = (1980, 1, 1, 0, 0, 0)  # a zip file keeps a time for each entry


def own_path(folder: str, name: str, taken: set[str], suffix: str | None = None) -> str:
    """A path for the image `name` below `folder`, never outside, never twice; with another
    suffix where one is given. It is taken then."""
    parts = [p for p in PurePosixPath(name).parts if p not in ("/", "..", ".")]
    path = PurePosixPath(folder, *parts)
    path = path if suffix is None else path.with_suffix(suffix)
    own, count = path, 1
    while str(own) in taken:
        count += 1
        own = path.with_name(f"{path.stem}_{count}{path.suffix}")
    taken.add(str(own))
    return str(own)


def add(archive: zipfile.ZipFile, path: str, data: bytes | str) -> None:
    """Put `data` into the archive, packed as the archive packs."""
    archive.writestr(zipfile.ZipInfo(path, WRITTEN), data, archive.compression)
