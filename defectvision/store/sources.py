"""Where the images of a batch come from, as the batch keeps it, and the images of a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True)


class UploadedFile(_Kept):
    """An image or zip file that lies in the store under its digest."""

    name: str
    digest: str


class _Images(_Kept):
    """again_of: the batch whose images these are, to be inspected anew; None where they are listed
    from the source itself."""

    again_of: int | None = None


class Uploads(_Images):
    """Files that somebody gave."""

    kind: Literal["uploads"] = "uploads"
    files: tuple[UploadedFile, ...] = ()


class _Place(_Images):
    """root: the folder that no link may lead out of; None where whoever started the batch may read
    what the system lets them. Sources of earlier versions do not say: no link leads out of them."""

    path: str
    root: str | None = ""

    @property
    def wall(self) -> Path | None:
        return None if self.root is None else Path(self.root or self.path)


class Folder(_Place):
    """A folder, a zip file or an image on this machine."""

    kind: Literal["folder"] = "folder"


class WatchedFolder(_Place):
    """A folder to which a camera writes: what appears there belongs to the batch, until somebody
    ends it."""

    kind: Literal["watch"] = "watch"


class Remote(_Images):
    """A folder, a zip file or an image at an fsspec URL, as s3://bucket/lot."""

    kind: Literal["remote"] = "remote"
    url: str


class PathTable(_Images):
    """A Parquet file, at a path or URL, of the paths or URLs of images."""

    kind: Literal["table"] = "table"
    url: str


Source = Annotated[
    Uploads | Folder | WatchedFolder | Remote | PathTable, Field(discriminator="kind")
]


@dataclass(frozen=True)
class ListedImage:
    """One image of a source, to be read from `path`, which may be a URL, or else from the store as
    `digest`; with `reason` and `remedy` where it cannot be had. `name` is unique in the batch."""

    name: str
    path: str = ""
    digest: str | None = None
    reason: str = ""
    remedy: str = ""
