"""A bundle as one zip file, laid out as below `weights/`: `LINE/line.json`, `LINE/BUNDLE/...`.

What is unpacked may come from anybody: no file is opened by a name that was not looked at, nothing
unfolds to more than is allowed. Whether it works is for inference/trial.py to find out.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO, TypeVar

from pydantic import ValidationError

from defectvision.bundle.line import NAME, Line
from defectvision.bundle.schema import (
    ABOUT_FILE,
    CARD_FILE,
    LINE_FILE,
    SIGNATURE_FILE,
    Bundle,
    LoadedBundle,
)
from defectvision.inference.sources import (
    CHUNK,
    DIRECTORY_ENTRY_BYTES,
    METHODS,
    directory_bytes,
)

MOST_FILES = 40
MOST_BYTES = 2 << 30  # of all files together
MOST_WORDS = 8 << 20  # of bundle.json and the other files that are read as text
MOST_ARRAYS = 1 << 30  # that an npz file of the bundle, itself a zip file, may unfold to
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
WORDS = (ABOUT_FILE, LINE_FILE, CARD_FILE, SIGNATURE_FILE)  # of which bundle.json keeps no hash
T = TypeVar("T", Bundle, Line)
DATED = (1980, 1, 1, 0, 0, 0)  # the same bundle makes the same zip file


class ParcelError(RuntimeError):
    """A zip file that is no bundle that can be taken; the message says why and what to do."""


def pack(loaded: LoadedBundle) -> bytes:
    """The zip file of a checked bundle: what its hashes cover, its card, its signature, and its
    line as the bundle knows it. Raises OSError."""
    about, packed = loaded.bundle, io.BytesIO()
    names = [*about.files, *(n for n in WORDS if n != LINE_FILE and (loaded.folder / n).is_file())]
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:

        def put(name: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(name, DATED)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content, compresslevel=1)

        for name in sorted(set(names)):
            put(f"{about.line}/{about.name}/{name}", (loaded.folder / name).read_bytes())
        put(f"{about.line}/{LINE_FILE}", loaded.line.model_dump_json(indent=2).encode() + b"\n")
    return packed.getvalue()


def unpack(file: BinaryIO, weights: Path) -> tuple[Line, str]:
    """Unpack the one bundle of a zip file into the empty folder `weights`; returns its line, as it
    says, and its name. Raises ParcelError and OSError."""
    archive, entries = _entries(file)
    with archive:
        line, name = _whose(entries)
        allowance = [MOST_BYTES]
        about = _read(archive, entries[line, name, ABOUT_FILE], allowance, MOST_WORDS)
        bundle = _parsed(about, Bundle, ABOUT_FILE)
        about_line = _read(archive, entries[line, "", LINE_FILE], allowance, MOST_WORDS)
        told = _parsed(about_line, Line, LINE_FILE)
        if (told.name, bundle.line, bundle.name) != (line, line, name):
            raise ParcelError(
                f"the zip file has '{line}/{name}', which says it is '{bundle.line}/{bundle.name}' "
                f"of line '{told.name}'. Export the bundle again"
            )
        folder = weights / line / name
        folder.mkdir(parents=True)
        for file_name in _wanted(bundle.files, entries, line, name):
            entry = entries[line, name, file_name]
            most = MOST_WORDS if file_name in WORDS else MOST_BYTES
            with (folder / file_name).open("xb") as out:
                _copy(archive, entry, out, allowance, most)
    for arrays in folder.glob("*.npz"):
        _refuse_bomb(arrays)
    return told, name


def _entries(file: BinaryIO) -> tuple[zipfile.ZipFile, dict[tuple[str, str, str], zipfile.ZipInfo]]:
    """The zip file and its files by line, bundle (empty for line.json) and name."""
    # A hostile directory breaks zipfile in ways that it does not document.
    try:
        if directory_bytes(file) > MOST_FILES * DIRECTORY_ENTRY_BYTES:
            raise ParcelError(_many())
        archive = zipfile.ZipFile(file)
    except ParcelError:
        raise
    except Exception as error:
        raise ParcelError(f"is no zip file, or a damaged one ({error}). Export it again") from error
    listed = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(listed) > MOST_FILES:
        raise ParcelError(_many())
    found: dict[tuple[str, str, str], zipfile.ZipInfo] = {}
    for entry in listed:
        place = _place(entry)
        if place in found:
            raise ParcelError(f"has '{'/'.join(place)}' twice. Export the bundle again")
        found[place] = entry
    return archive, found


def _many() -> str:
    return f"has more than {MOST_FILES} files. A bundle has fewer: export it alone"


def _place(entry: zipfile.ZipInfo) -> tuple[str, str, str]:
    """Line, bundle and file name of an entry; raises ParcelError where it has no place in one."""
    name = entry.orig_filename
    parts = name.split("/")
    *folders, file = parts
    if (
        len(parts) not in (2, 3)
        or not all(map(NAME.fullmatch, folders))
        or not FILE.fullmatch(file)
        or PurePosixPath(name).parts != tuple(parts)
        or (len(parts) == 2 and file != LINE_FILE)
    ):
        raise ParcelError(
            f"has a file {name[:120]!r}, which has no place in a bundle: a zip file of one holds "
            f"LINE/{LINE_FILE} and LINE/BUNDLE/{ABOUT_FILE} with its files. Export it again"
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ParcelError(f"has {name!r}, which is no ordinary file. Export the bundle again")
    if entry.flag_bits & 0x1:
        raise ParcelError(f"has {name!r}, which is encrypted. Pack it without a password")
    if entry.compress_type not in METHODS:
        raise ParcelError(f"has {name!r}, packed by an unusual method. Pack it as an ordinary zip")
    return folders[0], folders[1] if len(folders) == 2 else "", file


def _whose(entries: Mapping[tuple[str, str, str], zipfile.ZipInfo]) -> tuple[str, str]:
    """The line and the bundle that a zip file is of; raises ParcelError unless it is one's."""
    bundles = {(line, bundle) for line, bundle, _ in entries if bundle}
    lines = {line for line, _, _ in entries}
    if len(bundles) != 1 or len(lines) != 1:
        held = ", ".join(sorted(f"{line}/{bundle}" for line, bundle in bundles)) or "none"
        raise ParcelError(f"must hold one bundle of one line; it holds {held}. Export one alone")
    line, bundle = next(iter(bundles))
    for place in ((line, bundle, ABOUT_FILE), (line, "", LINE_FILE)):
        if place not in entries:
            raise ParcelError(f"has no {'/'.join(filter(None, place))}. Export the bundle again")
    return line, bundle


def _wanted(
    hashed: Mapping[str, str],
    entries: Mapping[tuple[str, str, str], zipfile.ZipInfo],
    line: str,
    bundle: str,
) -> list[str]:
    """The files to unpack; raises ParcelError where one lacks or one is there of no hash."""
    there = {name for of_line, of, name in entries if (of_line, of) == (line, bundle)}
    if strangers := sorted(there - set(hashed) - set(WORDS)):
        raise ParcelError(f"has {strangers[0]!r}, of which {ABOUT_FILE} has no hash. Export again")
    if missing := sorted(set(hashed) - there):
        raise ParcelError(f"lacks {missing[0][:120]!r}, which {ABOUT_FILE} names. Export it again")
    return sorted(there - {LINE_FILE})


def _read(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, allowance: list[int], most: int
) -> bytes:
    out = io.BytesIO()
    _copy(archive, entry, out, allowance, most)
    return out.getvalue()


def _copy(
    archive: zipfile.ZipFile,
    entry: zipfile.ZipInfo,
    out: BinaryIO,
    allowance: list[int],
    most: int,
) -> None:
    """Unpack one file. The size in its head is only a claim: what counts is what comes out."""
    left = most
    try:
        with archive.open(entry) as member:
            while chunk := member.read(CHUNK):
                left -= len(chunk)
                allowance[0] -= len(chunk)
                if min(left, allowance[0]) < 0:
                    raise ParcelError(
                        f"unfolds to more than a bundle may take ({MOST_BYTES >> 30} GiB, its "
                        f"texts {MOST_WORDS >> 20} MiB). It is no bundle of this program"
                    )
                out.write(chunk)
    except (ParcelError, OSError):
        raise
    except Exception as error:  # as above
        name = entry.orig_filename
        raise ParcelError(f"{name!r} is damaged ({error}). Export the bundle again") from error


def _parsed(content: bytes, kind: type[T], name: str) -> T:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ParcelError(f"{name}: {where}: {first['msg'].lower()}. Export it again") from error


def _refuse_bomb(arrays: Path) -> None:
    """Raises ParcelError where an npz file would unfold to more than any bundle's does."""
    try:
        with arrays.open("rb") as file:
            if directory_bytes(file) > MOST_FILES * DIRECTORY_ENTRY_BYTES:
                raise ParcelError(f"{arrays.name}: {_many()}")
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
    except ParcelError:
        raise
    except Exception as error:
        raise ParcelError(f"{arrays.name}: is damaged ({error}). Export it again") from error
    if size > MOST_ARRAYS:
        raise ParcelError(f"{arrays.name}: unfolds to more than {MOST_ARRAYS >> 30} GiB")
