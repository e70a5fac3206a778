"""Where a batch's images come from, as rows to inspect.

A source is kept with its batch as JSON:
    {"kind": "uploads", "files": [{"name", "digest"}, ...]}   files that lie in the store
    {"kind": "folder", "path": "..."}                         a folder, a zip file or an image
    {"kind": "watch", "path": "..."}                          a folder to which a camera writes
Listing the same source again gives the same names, so that it can be broken off anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from defectvision.inference.images import ImageError
from defectvision.inference.sources import (
    Upload,
    clean_name,
    expand_uploads,
    images_below,
    own_name,
    read_paths,
)
from defectvision.store.errors import StoreError
from defectvision.store.files import Files

Row = dict[str, Any]
# A file that was not written to for so long is taken to be complete.
SETTLED_SECONDS = 1.0


class SourceError(ValueError):
    """A source that cannot be read; the message names it, the reason and the remedy."""


def upload_source(files: Iterable[tuple[str, bytes]], kept: Files) -> dict[str, Any]:
    """A source of uploaded files, images or zip files, that are put into the store."""
    return {
        "kind": "uploads",
        "files": [{"name": name, "digest": kept.put(data)} for name, data in files],
    }


def folder_source(path: Path, roots: Iterable[Path] | None, watch: bool = False) -> dict[str, Any]:
    """A source on this machine; raises SourceError for one that is missing or not below a root.

    roots: folders that users may read from; None for the person at the command line, who may read
    what the system lets them.
    """
    found = path.expanduser().resolve()
    if roots is not None:
        allowed = [root.expanduser().resolve() for root in roots]
        if not any(found.is_relative_to(root) for root in allowed):
            shown = ", ".join(map(str, allowed)) or "none"
            raise SourceError(
                f"{path}: is not below a folder that may be read here ({shown}). Whoever runs the "
                "server can add it to DEFECTVISION_SOURCE_ROOTS"
            )
    if not found.exists():
        raise SourceError(f"{path}: no such file or folder. Check the path")
    if watch and not found.is_dir():
        raise SourceError(f"{path}: is not a folder. Give the folder that the camera writes to")
    return {"kind": "watch" if watch else "folder", "path": str(found)}


def list_images(source: Mapping[str, Any], kept: Files) -> Iterator[Row]:
    """The rows of a source: name, and path or digest, or reason and remedy where there is no
    image. What is packed in a zip file is unpacked into the store."""
    taken: set[str] = set()
    if source["kind"] == "uploads":
        for file in source["files"]:
            yield from _unpacked(file["name"], file["digest"], kept, taken)
        return
    path = Path(source["path"])
    if path.is_dir():
        found = images_below(path)
        if source["kind"] == "watch":
            found = [file for file in found if _is_settled(file)]
        for file in found:
            name = own_name(clean_name(file.relative_to(path).as_posix()), taken)
            yield {"name": name, "path": str(file)}
        if not found and source["kind"] == "folder":
            raise SourceError(f"{path}: a folder without an image. Give another one")
    elif path.suffix.lower() == ".zip":
        for upload in read_paths([path]):
            yield _kept(upload, kept, taken)
    elif path.is_file():
        yield {"name": clean_name(path.name), "path": str(path)}
    else:
        raise SourceError(f"{path}: is gone. Put it back, and resume the batch")


def read_image(row: Mapping[str, Any], kept: Files) -> bytes:
    """The bytes of a listed image; raises ImageError, and StoreError where the store lost it."""
    if not row["path"]:
        return kept.get(row["digest"])
    (upload,) = read_paths([Path(row["path"])])
    if upload.error is not None:
        raise ImageError(row["name"], upload.error.reason, upload.error.remedy)
    return upload.data or b""


def _unpacked(name: str, digest: str, kept: Files, taken: set[str]) -> Iterator[Row]:
    try:
        data = kept.get(digest)
    except StoreError as error:
        lost = Upload(name, error=ImageError(name, str(error), "Give the file again."))
        yield _kept(lost, kept, taken)
        return
    for upload in expand_uploads([(name, data)]):
        if upload.data is data:
            yield {"name": own_name(clean_name(name), taken), "digest": digest}
        else:
            yield _kept(upload, kept, taken)


def _kept(upload: Upload, kept: Files, taken: set[str]) -> Row:
    name = own_name(clean_name(upload.name), taken)
    if upload.error is not None:
        return {"name": name, "reason": upload.error.reason, "remedy": upload.error.remedy}
    return {"name": name, "digest": kept.put(upload.data or b"")}


def _is_settled(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime >= SETTLED_SECONDS
    except OSError:  # moved away while we looked
        return False
