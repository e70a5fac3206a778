"""Where images come from: uploads, zip files, folders."""

import io
import os
import stat
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from defectvision.data.image_names import IMAGE_SUFFIXES, is_image_name
from defectvision.inference.archive_names import entry_name
from defectvision.inference.images import ImageError
from defectvision.inference.passed_over import PassedOver
from defectvision.roots import NotAllowedError, NotOrdinaryError, opened, opened_folder
from defectvision.words import as_text

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"})
CHUNK = 1 << 20
LONGEST_NAME = 200
# LZMA may ask for 4 GiB of dictionary, so only the methods of ordinary zip files are unpacked.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# A directory entry is 46 bytes and its name; a zip file whose directory is larger than this for
# each allowed entry is refused before a list is made of it.
DIRECTORY_ENTRY_BYTES = 512


@dataclass(frozen=True)
class Limits:
    """What one zip file may unfold to, and how large a single file may be.

    ratio: largest size, in sizes of the zip file, that it may unfold to where that is more than
    `free_bytes`, and one entry where it is more than `free_entry`; same_name: files of one name,
    which other programs would unpack over each other.
    """

    entries: int = 20_000
    entry_bytes: int = 256 << 20
    total_bytes: int = 8 << 30
    free_bytes: int = 256 << 20
    free_entry: int = 64 << 20
    ratio: int = 100
    same_name: int = 10

    def unfolded(self, packed: int) -> int:
        """Bytes that a zip file of `packed` bytes may unfold to."""
        return min(self.total_bytes, max(self.free_bytes, self.ratio * packed))


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Upload:
    """One image file: `data`, or the `error` that says why there is none.

    `name` is the file's name; inside a zip or a folder with its path there, in posix spelling.
    """

    name: str
    data: bytes | None = None
    error: ImageError | None = None


def expand_uploads(
    files: Iterable[tuple[str, bytes]],
    limits: Limits = DEFAULT_LIMITS,
    passed_over: PassedOver | None = None,
) -> Iterator[Upload]:
    """Each (name, data) as it is, and each zip file as the images in it.

    Lazy: one image is unpacked at a time. Names inside a zip keep their folders and stand below
    the zip's own name (`lot7.zip/left/a.png`). Hidden files, `__MACOSX` and files without an
    image suffix are passed over; those that are not hidden are counted in `passed_over`. What
    cannot be used gives an Upload with an error and never
    ends the others: nested archives, encrypted entries, names that leave the archive, entries
    over the limits, damaged entries, a zip without an image.
    """
    for name, data in files:
        if data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
            yield from unzipped(name, io.BytesIO(data), limits, passed_over)
        else:
            yield Upload(name, data)


def read_paths(
    paths: Iterable[Path],
    limits: Limits = DEFAULT_LIMITS,
    passed_over: PassedOver | None = None,
    root: Path | None = None,
) -> Iterator[Upload]:
    """Image files, folders (with all below, sorted) and zip files, named by their path.

    A file that is named is read whatever its suffix; in a folder, images and no others, which
    `passed_over` counts unless they are hidden. A path
    that is missing, unreadable or a folder without an image gives an Upload with an error.
    root: a folder that no link may lead out of; None for any.
    """
    for path in map(Path, paths):
        name = path.as_posix()
        if path.is_dir():
            refused: list[OSError] = []
            try:
                found = images_below(path, passed_over, root, refused.append)
            except (OSError, NotAllowedError) as error:
                yield Upload(name, error=unreadable(name, error))
                continue
            for one in refused:
                yield Upload(one.filename, error=unreadable(one.filename, one))
            for file in found:
                yield _read(file, limits, root)
            if not found and not refused:
                yield _failed(name, "a folder without an image", f"Expected {_suffixes()}.")
        elif path.suffix.lower() == ".zip" and path.is_file():
            try:
                # Opened, not read: an archive may be larger than the memory
                with opened(path, root) as archive:
                    yield from unzipped(name, archive, limits, passed_over)
            except (OSError, NotAllowedError) as error:
                yield Upload(name, error=unreadable(name, error))
        else:
            yield _read(path, limits, root)


def clean_name(name: str) -> str:
    """A file name to show: no control characters, nothing that changes the direction of the
    text, not endlessly long; a byte that is no UTF-8 shows as �. What remains is still hostile and
    is escaped where it is drawn."""
    name = as_text(name).replace("\\", "/").strip("/")
    shown = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co"})
    shown = unicodedata.normalize("NFC", shown).strip() or "unnamed"
    if len(shown) > LONGEST_NAME:
        shown = f"{shown[: LONGEST_NAME - 40]}…{shown[-39:]}"
    return shown


def own_name(name: str, taken: set[str]) -> str:
    """`name`, numbered where it is `taken` already; it is taken then."""
    stem, dot, suffix = name.rpartition(".") if "." in name[1:] else (name, "", "")

    def numbered(count: int) -> str:
        return f"{stem} ({count}){dot}{suffix}" if count > 1 else name

    # Thousands may have the same name: not each number is tried.
    count = 1
    while numbered(count) in taken:
        count *= 2
    low, high = count // 2, count
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if numbered(middle) in taken else (low, middle)
    taken.add(numbered(high))
    return numbered(high)


def _suffixes() -> str:
    return ", ".join(sorted(IMAGE_SUFFIXES))


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):.4g} MiB"


def _failed(name: str, reason: str, remedy: str) -> Upload:
    return Upload(name, error=ImageError(name, reason, remedy))


def images_below(
    folder: Path,
    passed_over: PassedOver | None = None,
    root: Path | None = None,
    refuse: Callable[[OSError], None] | None = None,
) -> list[Path]:
    """The image files of a folder and of all below, sorted, without hidden ones and what lies
    behind links to folders; `passed_over` counts the others. root: as in `read_paths`.

    refuse: gets the error of each folder below that cannot be read, and of each image that is no
    ordinary file; both are passed over without it. Raises OSError and NotAllowedError where
    `folder` itself cannot be read.
    """
    images = []
    with opened_folder(folder, root) as top:
        for here, folders, names, descriptor in os.fwalk(".", dir_fd=top):
            folders[:] = filter(_is_shown, folders)
            if refuse is not None:
                for name in folders:
                    if error := _unreadable_folder(name, descriptor):
                        error.filename = str(folder / here / name)
                        refuse(error)
            for name in filter(_is_shown, names):
                path = PurePosixPath(here, name)
                if error := _no_file(name, descriptor):
                    if refuse is not None and is_image_name(name):
                        error.filename = str(folder / path)
                        refuse(error)
                elif is_image_name(name):
                    images.append(folder / path)
                elif passed_over is not None:
                    passed_over.add(path)
    return sorted(images)


def _no_file(name: str, folder: int) -> OSError | None:
    """Why an entry of a folder is no ordinary file; None where it is one."""
    try:
        mode = os.stat(name, dir_fd=folder).st_mode
    except OSError as error:  # a link to nothing, or gone
        return error
    return None if stat.S_ISREG(mode) else NotOrdinaryError(name)


def _is_visible(path: PurePosixPath) -> bool:
    return all(map(_is_shown, path.parts))


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _unreadable_folder(name: str, above: int) -> OSError | None:
    """Why a folder cannot be read; a link, which is not followed, is no reason."""
    try:
        if not stat.S_ISLNK(os.lstat(name, dir_fd=above).st_mode):
            os.close(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=above))
    except OSError as error:
        return error
    return None


def read_file(path: Path, limits: Limits = DEFAULT_LIMITS, root: Path | None = None) -> bytes:
    """The content of an ordinary file; root: as in `read_paths`. Raises ImageError where it can
    never be an image, and OSError where it cannot be read, which may pass."""
    name = path.as_posix()
    try:
        with opened(path, root) as file:
            if os.fstat(file.fileno()).st_size > limits.entry_bytes:
                raise _too_large(name, limits)
            return file.read()
    except IsADirectoryError as error:
        raise ImageError(name, "not an ordinary file", "Give an image file.") from error
    except ValueError as error:  # a NUL in the name, or what may not be read
        if isinstance(error, ImageError):
            raise
        raise unreadable(name, error) from error


def unreadable(name: str, error: OSError | ValueError) -> ImageError:
    """What to say of a file that cannot be read."""
    if isinstance(error, NotAllowedError):
        return ImageError(name, error.reason, error.remedy)
    if isinstance(error, FileNotFoundError):
        return ImageError(name, "no such file or folder", "Check the path.")
    reason = getattr(error, "strerror", None) or error
    return ImageError(name, f"cannot be read ({reason})", "Check the file and its permissions.")


def _read(path: Path, limits: Limits, root: Path | None) -> Upload:
    name = path.as_posix()
    try:
        return Upload(name, read_file(path, limits, root))
    except ImageError as error:
        return Upload(name, error=error)
    except OSError as error:
        return Upload(name, error=unreadable(name, error))


def _too_large(name: str, limits: Limits) -> ImageError:
    return ImageError(name, f"more than {_mebibytes(limits.entry_bytes)}", "Give a smaller file.")


def unzipped(
    name: str,
    file: BinaryIO,
    limits: Limits = DEFAULT_LIMITS,
    passed_over: PassedOver | None = None,
) -> Iterator[Upload]:
    """The images in a zip file called `name`, as in `expand_uploads`."""
    # A hostile directory breaks zipfile in ways that it does not document.
    try:
        size = directory_bytes(file)
        entries = []
        if size <= limits.entries * DIRECTORY_ENTRY_BYTES:
            archive = zipfile.ZipFile(file)
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except Exception as error:
        yield _failed(name, f"a damaged zip file ({error})", "Pack it again.")
        return
    if size > limits.entries * DIRECTORY_ENTRY_BYTES or len(entries) > limits.entries:
        yield _failed(
            name, f"a zip file of more than {limits.entries} files", "Divide it into several."
        )
        return
    with archive:
        unpacker = _Unpacker(archive, limits, limits.unfolded(file.seek(0, io.SEEK_END)))
        found = False
        for entry in entries:
            inner = entry_name(entry).replace("\\", "/")
            path = PurePosixPath(inner)
            wanted = path.suffix.lower() in IMAGE_SUFFIXES | ARCHIVE_SUFFIXES
            if not _is_visible(path) and (not wanted or ".." not in path.parts):
                continue
            if not wanted:
                if passed_over is not None:
                    passed_over.add(path)
                continue
            found = True
            yield unpacker.unpack(entry, f"{name}/{inner}", path)
            if unpacker.full:
                return
    if not found:
        yield _failed(name, "a zip file without an image", f"Expected {_suffixes()}.")


def directory_bytes(file: BinaryIO) -> int:
    """Size of a zip file's directory by its end record; 0 where there is none."""
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - 22 - 65_535 - 76))  # end record, its comment, the 64-bit records
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    wide = tail.rfind(b"PK\x06\x06")
    sizes = [tail[at + 12 : at + 16]] if at >= 0 else []
    if wide >= 0:
        sizes.append(tail[wide + 40 : wide + 48])
    return max((int.from_bytes(size, "little") for size in sizes), default=0)


@dataclass
class _Unpacker:
    """Unpacks the entries of one zip file and counts what came out of all, `most` bytes at most."""

    archive: zipfile.ZipFile
    limits: Limits
    most: int
    unfolded: int = 0
    full: bool = False
    names: Counter[PurePosixPath] = field(default_factory=Counter)

    def unpack(self, entry: zipfile.ZipInfo, name: str, path: PurePosixPath) -> Upload:
        absolute = path.is_absolute() or PureWindowsPath(path).drive
        self.names[path] += 1
        # For where it leads, not for its letters: nothing is opened by this name.
        if absolute or ".." in path.parts:
            return _failed(name, "a name that leads out of the zip file", "Pack it again.")
        if path.suffix.lower() in ARCHIVE_SUFFIXES:
            return _failed(name, "an archive inside the zip file", "Unpack it first.")
        if self.names[path] > self.limits.same_name:
            reason = f"more than {self.limits.same_name} files of one name in the zip file"
            return _failed(name, reason, "Give each a name of its own.")
        if entry.flag_bits & 0x1:
            return _failed(name, "encrypted", "Pack it without a password.")
        if entry.compress_type not in METHODS:
            return _failed(name, "packed by an unusual method", "Pack it as an ordinary zip file.")
        if entry.file_size > self.limits.entry_bytes:  # counted as if it had been tried
            self.unfolded += min(entry.file_size, self.limits.entry_bytes + CHUNK)
            return self._full(name) or Upload(name, error=_too_large(name, self.limits))
        if entry.file_size > max(self.limits.free_entry, self.limits.ratio * entry.compress_size):
            reason = f"unfolds to more than {self.limits.ratio} times its size"
            return _failed(name, reason, "Give the image itself, or pack it without compression.")
        unpacked = io.BytesIO()
        try:
            # The sizes in the header are only a claim: what counts is what comes out. Refused
            # entries count too, or a small file of many large ones would keep us busy for days.
            with self.archive.open(entry) as member:
                while chunk := member.read(CHUNK):
                    self.unfolded += len(chunk)
                    if full := self._full(name):
                        return full
                    if unpacked.tell() + len(chunk) > self.limits.entry_bytes:
                        return Upload(name, error=_too_large(name, self.limits))
                    unpacked.write(chunk)
        except Exception as error:  # as above
            return _failed(name, f"damaged in the zip file ({error})", "Pack it again.")
        return Upload(name, unpacked.getvalue())

    def _full(self, name: str) -> Upload | None:
        self.full = self.unfolded > self.most
        if not self.full:
            return None
        return _failed(
            name,
            f"not read: the zip file unfolds to more than {_mebibytes(self.most)}",
            "Divide it into several; what follows was not read either.",
        )
