"""Which folders of a server somebody at a page may read from, and files opened inside them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe must not keep the reader waiting, before it is known to be one.
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class NotAllowedError(ValueError):
    """A path that may not be read; the message names it, the reason and the remedy."""

    def __init__(self, path: object, reason: str, remedy: str):
        super().__init__(f"{path}: {reason}. {remedy}")
        self.reason, self.remedy = reason, remedy


class NotOrdinaryError(NotAllowedError, OSError):
    """A pipe, a device or a socket in place of a file. Who can go on without a file that cannot be
    read goes on without this one too."""

    def __init__(self, path: object):
        super().__init__(path, "not an ordinary file", "Give a file in its place.")
        self.strerror = self.reason


def below_a_root(path: Path, roots: Iterable[Path]) -> Path:
    """`path` without links and dots; raises NotAllowedError where it is not below one of `roots`.

    It is the same for a path that does not exist, so that nobody learns which do.
    """
    try:
        found = path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, no text
        reason = getattr(error, "strerror", None) or str(error)
        raise NotAllowedError(path, f"cannot be looked at ({reason})", "Check the path.") from error
    root_of(found, roots, path)
    return found


def root_of(found: Path, roots: Iterable[Path], said: Path) -> Path:
    """The one of `roots` that `found` is below, itself without links; `said` is what to call it.
    Raises NotAllowedError where it is below none."""
    allowed = [root.expanduser().resolve() for root in roots]
    for root in allowed:
        if found.is_relative_to(root):
            return root
    shown = ", ".join(map(str, allowed)) or "none"
    raise NotAllowedError(
        said,
        f"is not below a folder that may be read here ({shown})",
        "Whoever runs the server can add it to DEFECTVISION_SOURCE_ROOTS",
    )


@contextmanager
def opened(path: Path, root: Path | None = None) -> Iterator[BufferedReader]:
    """The ordinary file `path`, opened for reading; raises NotAllowedError and OSError.

    root: a folder that no link leads out of, whenever it is made: what is opened is what was
    checked, as every folder on the way is opened by itself and none through a link. None for any.
    """
    with os.fdopen(_descriptor(path, _FILE, root), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotOrdinaryError(path)
        yield file


def content(path: Path, limit: int | None = None) -> bytes:
    """What the ordinary file `path` holds; raises OSError, also where that is more than `limit`
    bytes."""
    with opened(path) as file:
        data = file.read() if limit is None else file.read(limit + 1)
    if limit is not None and len(data) > limit:
        most = f"{limit >> 10} kB" if limit <= 1 << 20 else f"{limit >> 20} MB"
        raise OSError(errno.EFBIG, f"larger than {most}", str(path))
    return data


@contextmanager
def opened_folder(path: Path, root: Path | None = None) -> Iterator[int]:
    """The descriptor of the folder `path`; as `opened`."""
    folder = _descriptor(path, _FOLDER, root)
    try:
        yield folder
    finally:
        os.close(folder)


def refuse_leading_out(found: Path, roots: Iterable[Path]) -> None:
    """Raises NotAllowedError where a link in the folder of `found`, or below it, leads out of
    `roots`. Such a set is not opened at all: its images are read in many places."""
    allowed = [root.expanduser().resolve() for root in roots]
    folder = found if found.is_dir() else found.parent
    for here, folders, files in os.walk(folder):
        for entry in (Path(here) / name for name in (*folders, *files)):
            if entry.is_symlink() and not any(
                entry.resolve().is_relative_to(root) for root in allowed
            ):
                raise _leading_out(entry)


def _leading_out(path: Path) -> NotAllowedError:
    reason = "a link that leads out of what may be read here"
    return NotAllowedError(path, reason, "Put the file itself there.")


def _descriptor(path: Path, flags: int, root: Path | None) -> int:
    if root is None:
        return os.open(path, flags)
    real = path.resolve()
    if not real.is_relative_to(root):
        raise _leading_out(path)
    here = os.open(root, _FOLDER)
    parts = real.relative_to(root).parts
    try:
        for place, part in enumerate(parts, 1):
            wanted = flags if place == len(parts) else _FOLDER
            inner = os.open(part, wanted | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
    except BaseException:
        os.close(here)
        raise
    return here
