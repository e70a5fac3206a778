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
    fresh = _beside(path)
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


def check_target(path: Path) -> None:
    """Raises ValueError where no file can be written at `path`: for those who work long before
    they write. Leaves nothing behind."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: is not an ordinary file. Name another file to write to")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}. Make it, or name another one")
    trial = _beside(path)
    try:
        trial.touch(exist_ok=False)
        trial.unlink()
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that may be "
            "written"
        ) from error


def check_folder(folder: Path) -> None:
    """Raises ValueError where no file can be written into `folder`, which need not exist yet."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    check_target(there / "trial")


def _beside(path: Path) -> Path:
    # Hidden, so that nobody who lists the folder meanwhile takes it for a finished file.
    return path.with_name(f".{path.name}.{token_hex(4)}{path.suffix}")


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


def add_folder(fresh: Path, folder: Path) -> None:
    """Put the finished folder `fresh` where there is none yet; raises FileExistsError where there
    is one, whoever was first, and OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        raise FileExistsError(17, "is there already", str(folder))
    fresh.rename(folder)  # which fails where another was put there meanwhile
    _flush(folder.parent)
