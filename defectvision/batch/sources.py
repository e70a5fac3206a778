"""List the images of a batch's source, and read them.

Listing the same source again gives the same names, so that it can be broken off anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from defectvision.data.roots import NotAllowedError, root_of
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
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
from defectvision.store.sources import (
    Folder,
    ListedImage,
    Source,
    UploadedFile,
    Uploads,
    WatchedFolder,
)
from defectvision.store.tables import InspectionRow

# A file that was not written to for so long is taken to be complete.
SETTLED_SECONDS = 1.0


class SourceError(ValueError):
    """A source that cannot be read; the message names it, the reason and the remedy."""


def upload_source(files: Iterable[tuple[str, bytes]], store: Files) -> Uploads:
    """A source of uploaded files, images or zip files, that are put into the store."""
    uploads = (UploadedFile(name=name, digest=store.put(data)) for name, data in files)
    return Uploads(files=tuple(uploads))


def folder_source(
    path: Path, roots: Iterable[Path] | None, watch: bool = False
) -> Folder | WatchedFolder:
    """A source on this machine; raises SourceError for one that is missing or not below a root.

    roots: folders that users may read from; None for the person at the command line, who may read
    what the system lets them.
    """
    try:
        found = path.expanduser().resolve()
        there, is_folder = found.exists(), found.is_dir()
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, no text
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path}: cannot be looked at ({reason}). Check the path") from error
    try:
        root = None if roots is None else str(root_of(found, roots, path))
    except NotAllowedError as error:
        raise SourceError(str(error)) from error
    if not there:
        raise SourceError(f"{path}: no such file or folder. Check the path")
    if watch and not is_folder:
        raise SourceError(f"{path}: is not a folder. Give the folder that the camera writes to")
    kind = WatchedFolder if watch else Folder
    return kind(path=str(found), root=root)


def list_images(source: Source, store: Files, passed_over: PassedOver) -> Iterator[ListedImage]:
    """The images of a source, and what of it is none. What is packed in a zip file is unpacked
    into the store; files that are no images are counted in `passed_over`. Raises SourceError where
    there is nothing to list."""
    taken: set[str] = set()
    if isinstance(source, Uploads):
        for upload in source.files:
            yield from _unpacked(upload, store, taken, passed_over)
        return
    path = Path(source.path)
    if path.is_dir():
        try:
            files = images_below(path, passed_over, source.wall)
        except (OSError, NotAllowedError) as error:
            raise SourceError(f"{path}: cannot be read ({error}). Check the folder") from error
        if isinstance(source, WatchedFolder):
            files = [file for file in files if _is_settled(file)]
        for file in files:
            name = own_name(clean_name(file.relative_to(path).as_posix()), taken)
            yield ListedImage(name, path=str(file))
        if not files and isinstance(source, Folder):
            there = f" ({passed_over.words})" if passed_over else ""
            raise SourceError(f"{path}: a folder without an image{there}. Give another one")
    elif path.suffix.lower() == ".zip":
        for packed in read_paths([path], passed_over=passed_over, root=source.wall):
            yield _kept(packed, store, taken)
    elif path.is_file():
        yield ListedImage(clean_name(path.name), path=str(path))
    else:
        raise SourceError(f"{path}: is gone. Put it back, and resume the batch")


def read_image(row: InspectionRow, source: Source, store: Files) -> bytes:
    """The bytes of a listed image of `source`; raises ImageError."""
    if not row.path:
        try:
            return store.get(row.digest or "")
        except StoreError as error:  # this one file is lost or damaged
            raise _lost(row.name, error) from error
    wall = None if isinstance(source, Uploads) else source.wall
    (upload,) = read_paths([Path(row.path)], root=wall)
    if upload.error is not None:
        raise ImageError(row.name, upload.error.reason, upload.error.remedy)
    return upload.data or b""


def _unpacked(
    file: UploadedFile, store: Files, taken: set[str], passed_over: PassedOver
) -> Iterator[ListedImage]:
    try:
        data = store.get(file.digest)
    except StoreError as error:
        yield _kept(Upload(file.name, error=_lost(file.name, error)), store, taken)
        return
    for upload in expand_uploads([(file.name, data)], passed_over=passed_over):
        if upload.data is data:
            yield ListedImage(own_name(clean_name(file.name), taken), digest=file.digest)
        else:
            yield _kept(upload, store, taken)


def _lost(name: str, error: StoreError) -> ImageError:
    return ImageError(name, str(error), "Give the file again.")


def _kept(upload: Upload, store: Files, taken: set[str]) -> ListedImage:
    name = own_name(clean_name(upload.name), taken)
    if upload.error is not None:
        return ListedImage(name, reason=upload.error.reason, remedy=upload.error.remedy)
    return ListedImage(name, digest=store.put(upload.data or b""))


def _is_settled(file: Path) -> bool:
    try:
        return time.time() - file.stat().st_mtime >= SETTLED_SECONDS
    except OSError:  # moved away while we looked
        return False
