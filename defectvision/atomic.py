"""Write files so that a reader sees the old content or the new, never half of either, nor after a
power cut a name without its content."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes `path`'s place when the block ends well, and is
    removed when it does not. Missing folders are made. Raises OSError."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that nobody who lists the folder meanwhile takes it for a finished file.
    fresh = path.with_name(f".{path.name}.{token_hex(4)}{path.suffix}")
    fresh.touch(exist_ok=False)  # others may do with it what the process's umask says
    try:
        yield fresh
        _flush(fresh)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Have the disk hold a file's content, or a folder's names, before going on."""
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    except OSError:  # some shares cannot
        pass
    finally:
        os.close(place)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` whole; raises OSError."""
    with replacing(path) as fresh:
        fresh.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` whole as UTF-8, line ends as they are; raises OSError."""
    write_bytes(path, content.encode())


def replace_folder(fresh: Path, folder: Path) -> None:
    """Put the finished folder `fresh` where `folder` is. The older one steps aside first, so that
    a kill in between leaves both."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
