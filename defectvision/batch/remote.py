"""Images elsewhere: at fsspec URLs (s3://bucket/lot), and in tables of paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from defectvision.data.image_names import is_image_name
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
from defectvision.inference.sources import DEFAULT_LIMITS
from defectvision.store.elsewhere import Place

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PATH, NAME = "path", "name"  # columns of a table


def is_url(place: str) -> bool:
    return URL.match(place) is not None


def read_url(url: str) -> bytes:
    """Raises OSError where it cannot be read, which may pass, and ImageError where it is too large
    for an image."""
    place, most = Place(url), DEFAULT_LIMITS.entry_bytes
    data = place.read(place.root, most + 1)
    if len(data) > most:
        raise ImageError(url, f"more than {most >> 20} MiB", "Give a smaller file.")
    return data


def is_at(url: str) -> bool:
    """Whether there is a file or a folder. Raises OSError."""
    place = Place(url)
    return place.exists(place.root)


def opened_url(url: str) -> AbstractContextManager[BinaryIO]:
    """The file, to be read. Raises OSError."""
    place = Place(url)
    return place.opened(place.root)


def urls_below(url: str, passed_over: PassedOver) -> Iterator[tuple[str, str]]:
    """The images of a folder and of all below, sorted, without hidden ones, each by its name there
    and its URL; a file itself is one whatever its name. Raises OSError."""
    place = Place(url)
    for path in place.below(place.root):
        if path == place.root:
            yield PurePosixPath(path).name, url
            continue
        name = PurePosixPath(path.removeprefix(place.root).lstrip("/"))
        if any(part.startswith(".") for part in name.parts):
            continue
        if is_image_name(name.name):
            yield str(name), place.url_of(path)
        else:
            passed_over.add(name)


def columns_of(table: str) -> list[str]:
    """The names of a table's columns. Raises OSError."""
    with _opened_table(table) as file:
        return list(file.schema_arrow.names)


def listed_in(table: str) -> Iterator[tuple[str, str]]:
    """The images of a table by their names, which are the paths where it has none, and their paths
    or URLs. Those that are neither absolute nor URLs are from the table's folder. Raises OSError.
    """
    folder = table.rpartition("/")[0]
    with _opened_table(table) as file:
        wanted = [name for name in (PATH, NAME) if name in file.schema_arrow.names]
        for part in file.iter_batches(columns=wanted):
            for row in part.to_pylist():
                path = str(row[PATH])
                name = str(row.get(NAME) or path)
                alone = is_url(path) or Path(path).is_absolute()
                yield name, path if alone else f"{folder}/{path}"


@contextmanager
def _opened_table(table: str) -> Iterator[ParquetFile]:
    import pyarrow as pa  # nobody else waits for it
    from pyarrow.parquet import ParquetFile

    url = table if is_url(table) else f"file://{table}"
    with opened_url(url) as file:
        try:
            yield ParquetFile(file)
        except pa.ArrowException as error:
            raise OSError(None, f"no Parquet file, or a damaged one ({error})", table) from error
