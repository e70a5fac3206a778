"""A store's files as who looks after their place meets them, a folder or a bucket: listed, damaged,
lost."""

from __future__ import annotations

from defectvision.store.files import MARK, Files


def names(files: Files) -> set[str]:
    """Of all that lies there but the mark."""
    return {path.rpartition("/")[2] for path in files._place.below(files._root)} - {MARK}


def contents(files: Files) -> dict[str, bytes]:
    """What is kept, by its digest."""
    return {path.rpartition("/")[2]: files._place.read(path) for path, _ in files._all()}


def overwrite(files: Files, name: str, data: bytes) -> None:
    files._place.write(_path(files, name), data)


def lose(files: Files, name: str) -> None:
    files._place.remove(_path(files, name))


def _path(files: Files, name: str) -> str:
    return f"{files._root}/{MARK}" if name == MARK else files._path(name)
