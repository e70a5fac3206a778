"""Read a line and its bundles from disk, and check every file against its hash."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from defectvision.inference.policy import Policy
from defectvision.inference.preprocessing import Preprocessing

T = TypeVar("T", bound=BaseModel)
NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class BundleError(RuntimeError):
    """A line or bundle that cannot be used; the message names the file, reason and remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DefectClass(_Part):
    """One class of a line: its name in the data, a title for people, and its colour (#rrggbb)."""

    name: str
    title: str
    kind: Literal["ok", "defect"]
    colour: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")


class Line(_Part):
    """One inspected product, from `weights/<line>/line.json`. Its policy is the bundle's: each
    model has an operating point of its own."""

    name: str
    title: str
    classes: tuple[DefectClass, ...] = Field(min_length=1)
    label_mode: Literal["multiclass", "multilabel"] = "multiclass"
    default_bundle: str

    @field_validator("name", "default_bundle")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("only lowercase letters, digits, '_', '.' and '-'")
        return value

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def can_accept(self) -> bool:
        """Whether the line knows a good part; a multilabel line does by the absence of defects."""
        return self.label_mode == "multilabel" or any(c.kind == "ok" for c in self.classes)


class Measure(_Part):
    """A figure with its 95 % interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Metrics(_Part):
    """Figures of one bundle on one set of images.

    seen: whether the model was trained on photographs of these; such figures measure memory.
    """

    split: str
    data: str
    images: int
    groups: int
    seen: bool = False
    policy: Policy
    values: dict[str, Measure | None]
    confusion: dict[str, dict[str, int]] = {}


class Foreign(_Part):
    """What the training images' embeddings look like, to recognise an image that is not of the
    line: `file` holds mean (D,), components (K, D), scale (K,) and residual (1,); `limit` is the
    distance that 99 of 100 validation images stay below."""

    file: str
    limit: float = Field(gt=0)


class Bundle(_Part):
    """One trained model of a line, from `bundle.json`.

    options: what the architecture was built with besides. mask_classes: the classes of the
    model's output `masks`, in its order; none where the model does not segment.
    """

    format: Literal[1] = 1
    line: str
    name: str
    architecture: str
    pooling: Literal["mean", "strongest"] = "mean"
    options: dict[str, Any] = {}
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = Field(1.0, gt=0)
    evidence_bias: tuple[float, ...]
    mask_classes: tuple[str, ...] = ()
    policy: Policy
    foreign: Foreign
    precision: Literal["fp32", "fp16-weights", "int8"]
    provenance: dict[str, Any]
    metrics: tuple[Metrics, ...]
    files: dict[str, str]


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle whose files have been checked; `version` is a short hash of bundle.json, which
    in turn holds the hashes of all other files."""

    folder: Path
    line: Line
    bundle: Bundle
    version: str


@dataclass(frozen=True)
class Origin:
    """What made a set of results: the line, and the bundle by name and version."""

    line: Line
    bundle: str
    version: str
    mask_classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, loaded: LoadedBundle) -> Origin:
        about = loaded.bundle
        return cls(loaded.line, about.name, loaded.version, about.mask_classes)


def read_line(folder: Path) -> Line:
    """Read `folder/line.json`; raises BundleError."""
    line = _read(folder / "line.json", Line)
    if line.name != folder.name:
        raise BundleError(
            f"{folder / 'line.json'}: says line '{line.name}' but lies in '{folder.name}'. "
            "Rename the folder"
        )
    return line


def list_lines(weights: Path) -> list[Line]:
    """All lines below `weights`, by name; a folder without line.json is not a line."""
    if not weights.is_dir():
        return []
    return [read_line(p.parent) for p in sorted(weights.glob("*/line.json"))]


def list_bundles(line_folder: Path) -> list[str]:
    """Names of the bundles of a line, the default one first."""
    default = read_line(line_folder).default_bundle
    names = {p.parent.name for p in line_folder.glob("*/bundle.json")}
    return sorted(names, key=lambda name: (name != default, name))


def load_bundle(weights: Path, line: str, bundle: str | None = None) -> LoadedBundle:
    """Read and check a bundle (the line's default where none is named); raises BundleError."""
    for name in filter(None, (line, bundle)):
        if not NAME.fullmatch(name):
            raise BundleError(f"'{name}' cannot be the name of a line or bundle")
    folder = weights / line
    if not (folder / "line.json").is_file():
        known = ", ".join(found.name for found in list_lines(weights)) or "none"
        raise BundleError(f"unknown line '{line}'; known are: {known}")
    about = read_line(folder)
    name = bundle or about.default_bundle
    if not (folder / name / "bundle.json").is_file():
        known = ", ".join(list_bundles(folder)) or "none"
        raise BundleError(f"line '{line}' has no bundle '{name}'; it has: {known}")
    text = folder / name / "bundle.json"
    content = _read(text, Bundle)
    if content.classes != about.class_names:
        raise BundleError(f"{text}: its classes are not those of line '{line}'. Export it again")
    if (content.line, content.name) != (line, name):
        raise BundleError(
            f"{text}: is bundle '{content.line}/{content.name}'. Move it to its own folder"
        )
    for required in ("model.onnx", content.foreign.file):
        if required not in content.files:
            raise BundleError(f"{text}: lists no hash of {required}. Export the bundle again")
    for file, wanted in content.files.items():
        check_file(folder / name, file, wanted)
    version = hashlib.sha256(text.read_bytes()).hexdigest()[:12]
    return LoadedBundle(folder / name, about, content, version)


def load_bundle_once(weights: Path, line: str, bundle: str | None = None) -> LoadedBundle:
    """`load_bundle`, which reads all weights, again only where line.json or bundle.json changed."""
    files = [] if NAME.fullmatch(line) is None else sorted((weights / line).glob("**/*.json"))
    stamp = tuple((file, file.stat().st_mtime_ns) for file in files)
    return _load_bundle(weights, line, bundle, stamp)


@lru_cache(maxsize=16)
def _load_bundle(weights: Path, line: str, bundle: str | None, _stamp: tuple) -> LoadedBundle:
    return load_bundle(weights, line, bundle)


def check_file(folder: Path, name: str, wanted: str) -> None:
    """Raises BundleError unless `folder/name` is a plain file in `folder` with SHA-256 `wanted`."""
    if Path(name).name != name:
        raise BundleError(f"{folder / 'bundle.json'}: '{name}' is not a plain file name")
    path = folder / name
    if not path.is_file():
        raise BundleError(f"{path}: is missing. Copy the whole bundle folder again")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise BundleError(
            f"{path}: does not match the hash in bundle.json (has {found[:12]}, wants "
            f"{wanted[:12]}). The file was damaged or changed; copy the whole bundle folder again"
        )


def _read(path: Path, kind: type[T]) -> T:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise BundleError(f"{path}: {where}: {first['msg'].lower()}. Export it again") from error
