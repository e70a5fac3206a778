"""Read a line and its bundles from disk, and check every file against its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from defectvision.bundle.line import NAME, Line
from defectvision.bundle.schema import (
    ABOUT_FILE,
    DEFECT_SCORE,
    LINE_FILE,
    MODEL_FILE,
    Bundle,
    Calibration,
    LoadedBundle,
)
from defectvision.bundle.signature import SignatureError, signed_by

Trusted = tuple[tuple[str, str], ...]
# How an ONNX file says that a tensor's values lie in another file: the key "location" of an entry
# of `external_data` (onnx.proto, TensorProto).
EXTERNAL = b"\x0a\x08location"
T = TypeVar("T", bound=BaseModel)


class BundleError(RuntimeError):
    """A line or bundle that cannot be used; the message names the file, reason and remedy."""


class NoSuchBundleError(BundleError):
    """There is no line or bundle of that name; the message names those that there are."""


def read_line(folder: Path) -> Line:
    """Read `folder/line.json`; raises BundleError."""
    line = _read(folder / LINE_FILE, Line)
    if line.name != folder.name:
        raise BundleError(
            f"{folder / LINE_FILE}: says line '{line.name}' but lies in '{folder.name}'. "
            "Rename the folder"
        )
    return line


@dataclass(frozen=True)
class Lines:
    """The lines of a folder: those that can be read, and by its folder's name what is wrong with
    each of the others: its file, the reason and the remedy."""

    readable: tuple[Line, ...]
    problems: dict[str, str]


def find_lines(weights: Path) -> Lines:
    """All lines below `weights`, by folder; a folder without line.json is not a line. One that is
    broken hides none of the others."""
    readable: list[Line] = []
    problems: dict[str, str] = {}
    for file in sorted(weights.glob(f"*/{LINE_FILE}")):
        try:
            readable.append(read_line(file.parent))
        except BundleError as error:
            problems[file.parent.name] = str(error)
    return Lines(tuple(readable), problems)


def known_line(weights: Path, line: str) -> Line:
    """The line of that name; raises BundleError, which names those that there are."""
    check_name(line)
    if not (weights / line / LINE_FILE).is_file():
        known = ", ".join(known.name for known in find_lines(weights).readable) or "none"
        raise NoSuchBundleError(f"unknown line '{line}'; known are: {known}")
    return read_line(weights / line)


def check_name(name: str) -> None:
    """Raises BundleError for what cannot be the name of a line or bundle."""
    if not NAME.fullmatch(name):
        raise NoSuchBundleError(
            f"'{name}' cannot be the name of a line or bundle. Give one of at most 64 small "
            "letters (a to z), digits, '_', '.' and '-' that begins with a letter or digit"
        )


def list_bundles(line_folder: Path) -> list[str]:
    """Names of the bundles of a line, the default one first."""
    default = read_line(line_folder).default_bundle
    names = {p.parent.name for p in line_folder.glob(f"*/{ABOUT_FILE}")}
    return sorted(names, key=lambda name: (name != default, name))


def load_bundle(
    weights: Path, line: str, bundle: str | None = None, trusted: Trusted = ()
) -> LoadedBundle:
    """Read and check a bundle (the line's default where none is named); raises BundleError.

    trusted: names and public keys of those of whom one must have signed it; nobody where empty.
    """
    if bundle:
        check_name(bundle)
    folder, about = weights / line, known_line(weights, line)
    name = bundle or about.default_bundle
    if not (folder / name / ABOUT_FILE).is_file():
        known = ", ".join(list_bundles(folder)) or "none"
        raise NoSuchBundleError(f"line '{line}' has no bundle '{name}'; it has: {known}")
    text = folder / name / ABOUT_FILE
    raw = _bytes(text)
    content = _parsed(raw, text, Bundle)
    about = about.of_classes(content.classes) or about
    if content.classes != about.class_names:
        raise BundleError(f"{text}: its classes are not those of line '{line}'. Export it again")
    if (content.line, content.name) != (line, name):
        raise BundleError(
            f"{text}: is bundle '{content.line}/{content.name}'. Move it to its own folder"
        )
    if content.calibration is not None and not _fits(content.calibration, about):
        raise BundleError(
            f"{text}: its calibration is not of the classes of line '{line}'. Export it again"
        )
    gate = [content.gate.file] if content.gate else []
    for required in (MODEL_FILE, content.foreign.file, *gate):
        if required not in content.files:
            raise BundleError(f"{text}: lists no hash of {required}. Export the bundle again")
    for file, wanted in content.files.items():
        check_file(folder / name, file, wanted)
    _refuse_other_files(folder / name / MODEL_FILE)
    earlier = hashlib.sha256(raw)
    covers = earlier.copy()
    covers.update(about.decides.encode())
    covered = covers.hexdigest()
    try:
        signed = signed_by(folder / name, covered, dict(trusted))
    except SignatureError as error:
        raise BundleError(str(error)) from error
    return LoadedBundle(
        folder / name, about, content, covered[:12], earlier.hexdigest()[:12], covered, signed
    )


def _fits(calibration: Calibration, line: Line) -> bool:
    """Whether its curves are of what the line has."""
    if line.label_mode == "multilabel":
        return set(calibration.curves) <= set(line.class_names)
    return set(calibration.curves) == {DEFECT_SCORE} and line.can_accept


def load_bundle_once(
    weights: Path, line: str, bundle: str | None = None, trusted: Trusted = ()
) -> LoadedBundle:
    """`load_bundle`, which reads all weights, again only where a file of the line changed."""
    files = [] if NAME.fullmatch(line) is None else sorted((weights / line).glob("**/*"))
    return _load_bundle(weights, line, bundle, trusted, tuple(map(_stamp, files)))


@lru_cache(maxsize=64)
def _load_bundle(
    weights: Path, line: str, bundle: str | None, trusted: Trusted, _stamps: object
) -> LoadedBundle:
    return load_bundle(weights, line, bundle, trusted)


def _stamp(file: Path) -> tuple[Path, int, int, int]:
    """What the file system says of a file's content without its being read."""
    try:
        about = file.stat()
    except OSError:  # gone meanwhile
        return file, 0, 0, 0
    return file, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def check_file(folder: Path, name: str, digest: str) -> None:
    """Raises BundleError unless `folder/name` is a plain file in `folder` with SHA-256 `digest`."""
    if Path(name).name != name:
        raise BundleError(f"{folder / ABOUT_FILE}: '{name}' is not a plain file name")
    path = folder / name
    if not path.is_file():
        raise BundleError(f"{path}: is missing. Copy the whole bundle folder again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise BundleError(
            f"{path}: does not match the hash in bundle.json (has {found[:12]}, wants "
            f"{digest[:12]}). The file was damaged or changed; copy the whole bundle folder again"
        )


def _refuse_other_files(model: Path) -> None:
    """Raises BundleError where an ONNX file keeps weights in further files, which no hash covers
    and which may lie anywhere."""
    if EXTERNAL in model.read_bytes():
        raise BundleError(f"{model}: keeps weights in another file. Export the model as one file")


def _read(path: Path, kind: type[T]) -> T:
    return _parsed(_bytes(path), path, kind)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error


def _parsed(content: bytes, path: Path, kind: type[T]) -> T:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(f"{path}: {where}: {first['msg'].lower()}. Export it again") from error
