"""List the images of a batch's source, and read them.

Listing the same source again gives the same names, so that it can be broken off anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from defectvision.batch.remote import (
    PATH,
    columns_of,
    is_at,
    is_url,
    listed_in,
    opened_url,
    read_url,
    urls_below,
)
from defectvision.batch.watch import AwayError, stamp_of
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
from defectvision.inference.sources import (
    Upload,
    clean_name,
    expand_uploads,
    images_below,
    own_name,
    read_file,
    read_paths,
    unreadable,
    unzipped,
)
from defectvision.roots import NotAllowedError, root_of
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import Files, digest_of
from defectvision.store.sources import (
    Folder,
    ListedImage,
    PathTable,
    Remote,
    Source,
    UploadedFile,
    Uploads,
    WatchedFolder,
)
from defectvision.store.tables import InspectionRow

TABLE, ZIP = ".parquet", ".zip"  # how such files are called


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


def place_source(place: str) -> Source:
    """What somebody at the command line names: a path of this machine or an fsspec URL; a Parquet
    file is a table of paths. Raises SourceError."""
    if not is_url(place):
        found = folder_source(Path(place), None)
        if not isinstance(found, Folder) or not found.path.lower().endswith(TABLE):
            return found
        place = found.path
    try:
        if not place.lower().endswith(TABLE):
            if not is_at(place):
                raise SourceError(f"{place}: no such file or folder. Check the URL")
            return Remote(url=place)
        columns = columns_of(place)
    except OSError as error:
        raise SourceError(_not_read(place, error)) from error
    if PATH not in columns:
        raise SourceError(
            f"{place}: has no column '{PATH}', which must hold the paths or URLs of the images; it "
            f"has {', '.join(columns) or 'none'}"
        )
    return PathTable(url=place)


def list_images(source: Source, store: Files, passed_over: PassedOver) -> Iterator[ListedImage]:
    """The images of a source, and what of it is none. What is packed in a zip file is unpacked
    into the store; files that are no images are counted in `passed_over`. Raises SourceError where
    there is nothing to list, and AwayError and other OSErrors where that may pass."""
    taken: set[str] = set()
    if isinstance(source, Uploads):
        for upload in source.files:
            yield from _unpacked(upload, store, taken, passed_over)
        return
    if isinstance(source, Remote | PathTable):
        yield from _elsewhere(source, store, taken, passed_over)
        return
    path = Path(source.path)
    if path.is_dir():
        refused: list[OSError] = []
        try:
            files = images_below(path, passed_over, source.wall, refused.append)
        except NotAllowedError as error:
            raise SourceError(f"{path}: cannot be read ({error}). Check the folder") from error
        for file in files:
            name = own_name(clean_name(file.relative_to(path).as_posix()), taken)
            yield ListedImage(name, path=str(file))
        for one in refused:
            found = unreadable(str(one.filename), one)
            yield _kept(Upload(found.name, error=found), store, taken)
        if not files and not refused:
            there = f" ({passed_over.words})" if passed_over else ""
            raise SourceError(f"{path}: a folder without an image{there}. Give another one")
    elif path.suffix.lower() == ZIP and path.is_file():
        for packed in read_paths([path], passed_over=passed_over, root=source.wall):
            yield _kept(packed, store, taken)
    elif path.is_file():
        yield ListedImage(clean_name(path.name), path=str(path))
    else:
        raise AwayError(f"{path}: is gone. It is waited for; put it back")


@dataclass(frozen=True)
class Read:
    """What was read of an image; stamp: of its file, empty where it lies in the store."""

    data: bytes
    stamp: str = ""


def read_image(row: InspectionRow, source: Source, store: Files) -> Read:
    """A listed image of `source`. Raises ImageError where it can never be had, OSError where that
    may pass, and StoreError where no file of the store can be read."""
    if isinstance(source, Remote | PathTable) and is_url(row.path):
        return Read(read_url(row.path))
    if row.path:
        return read_whole(Path(row.path), wall_of(source))
    try:
        return Read(store.get(row.digest or ""))
    except LostFileError as error:
        raise _lost(row.name, error) from error


def read_again(row: InspectionRow, source: Source, store: Files) -> bytes:
    """The content of an image that was inspected: from the store where its picture was kept, else
    from where it lay. Raises as `read_image`, and ImageError where another file lies there by
    now: what was said of the first one does not hold for it."""
    if row.stored and row.digest:
        try:
            return store.get(row.digest)
        except LostFileError:
            pass  # where it lay it may still be
    data = read_image(row, source, store).data
    if row.digest and digest_of(data) != row.digest:
        raise ImageError(
            row.name,
            "its file is another one than the one that was inspected",
            "Put that one back, or inspect this one.",
        )
    return data


def wall_of(source: Source) -> Path | None:
    """The folder that no link in a source may lead out of; None where there is none."""
    return source.wall if isinstance(source, Folder | WatchedFolder) else None


def read_whole(path: Path, wall: Path | None = None) -> Read:
    """A file that nobody writes to meanwhile; raises as `read_image`."""
    before = stamp_of(path)
    data = read_file(path, root=wall)
    if stamp_of(path) != before:
        raise OSError(None, "somebody is writing it", str(path))
    return Read(data, before)


def check_is_there(source: Source, missing: str) -> None:
    """Tell a file that is gone from a place that is: raises AwayError where the source, or the
    folder that the file was in, is not there or holds nothing, as where a share is not mounted."""
    if isinstance(source, Uploads) or (isinstance(source, PathTable) and is_url(missing)):
        return
    if isinstance(source, Remote):
        if not is_at(source.url):
            raise AwayError(f"{source.url}: is gone. It is waited for; put it back")
        return
    file = Path(missing)
    root = Path(file.anchor if isinstance(source, PathTable) else source.path)
    if not root.exists():
        raise AwayError(f"{root}: is gone. It is waited for; put it back")
    folder = next((f for f in file.parents if f.is_dir()), root)
    if folder.is_relative_to(root) and not any(folder.iterdir()):
        raise AwayError(
            f"{folder}: is empty, and {file.name} was there. It is waited for; put back what "
            "was there, or mount the share again"
        )


def _elsewhere(
    source: Remote | PathTable, store: Files, taken: set[str], passed_over: PassedOver
) -> Iterator[ListedImage]:
    """The images at a URL or in a table."""
    place, found = source.url, False
    try:
        if isinstance(source, Remote) and place.lower().endswith(ZIP):
            with opened_url(place) as archive:
                for packed in unzipped(place, archive, passed_over=passed_over):
                    yield _kept(packed, store, taken)
            return
        table = isinstance(source, PathTable)
        for name, path in listed_in(place) if table else urls_below(place, passed_over):
            found = True
            yield ListedImage(own_name(clean_name(name), taken), path=path)
    except FileNotFoundError as error:
        raise AwayError(f"{place}: is gone. It is waited for; put it back") from error
    except OSError as error:
        raise AwayError(f"{_not_read(place, error)}. It is waited for") from error
    if not found:
        there = f" ({passed_over.words})" if passed_over else ""
        raise SourceError(f"{place}: holds no image{there}. Give another one")


def _not_read(place: str, error: OSError) -> str:
    return f"{place}: cannot be read ({error.strerror or error})"


def _unpacked(
    file: UploadedFile, store: Files, taken: set[str], passed_over: PassedOver
) -> Iterator[ListedImage]:
    try:
        data = store.get(file.digest)
    except LostFileError as error:
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
