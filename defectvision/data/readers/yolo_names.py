"""The names of YOLO's classes: `data.yaml`, `obj.names` or `classes.txt`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from defectvision.data.catalog import CatalogError
from defectvision.data.readers.annotated import class_name
from defectvision.data.readers.set_files import SetFiles, read_text
from defectvision.roots import opened

LARGEST = 1024 * 1024  # bytes; a thousand classes take 20 kB
MOST_LOOKED_AT = 20
USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
TOP_KEY = re.compile(r"^(names|nc|path|kpt_shape|train|val|test)\s*:", re.MULTILINE)


@dataclass(frozen=True)
class YoloNames:
    """names: by class number; keypoints: numbers behind each box; splits: per split the folders
    and lists of images as the file spells them; file: where it stands below the root."""

    file: PurePosixPath
    names: dict[int, str]
    keypoints: int = 0
    splits: dict[str, list[str]] = field(default_factory=dict)


def find_names(files: SetFiles) -> list[PurePosixPath]:
    """The files that may name the classes: of the best kind that is there, and of its kind those
    nearest to the root."""
    yamls = [
        f for f in files.of(".yaml", ".yml")[:MOST_LOOKED_AT] if _names_classes(files.root / f)
    ]
    listed = files.of(".names")
    texts = [file for file in files.of(".txt") if file.name.casefold() == "classes.txt"]
    for kind in (yamls, listed, texts):
        if kind:
            nearest = [file for file in kind if len(file.parts) == len(kind[0].parts)]
            return [file for file in nearest if file.name in USUAL][:1] or nearest
    return []


def read_names(root: Path, found: list[PurePosixPath]) -> YoloNames:
    """The names of the one file, or of several that say the same. Raises CatalogError."""
    read = [_read(root, file) for file in found]
    if different := [names for names in read if names.names != read[0].names]:
        raise CatalogError(
            f"{root}: {read[0].file} and {different[0].file} name the classes differently. Move "
            "one of them away."
        )
    return read[0]


def _names_classes(file: Path) -> bool:
    """Without parsing: whether a YAML file has the keys of a data.yaml at its top."""
    try:
        with opened(file) as stream:
            keys = set(TOP_KEY.findall(stream.read(LARGEST).decode(errors="replace")))
    except OSError:
        return False
    return "names" in keys and len(keys) > 1


def _read(root: Path, file: PurePosixPath) -> YoloNames:
    text = read_text(root / file, LARGEST, file)
    if file.suffix.lower() in (".yaml", ".yml"):
        return _of_yaml(file, text)
    lines = text.splitlines()
    names = {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return YoloNames(file, _checked(file, names))


class _Plain(yaml.BaseLoader):
    """Texts, lists and mappings alone, without anchors: a few lines of them make gigabytes. A
    class called `no` stays a text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias, which a data.yaml has no use for")
        return super().compose_node(parent, index)


def _of_yaml(file: PurePosixPath, text: str) -> YoloNames:
    try:
        content = yaml.load(text, _Plain)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise CatalogError(f"{file}: cannot be read as YAML ({said}). Write it anew.") from error
    if not isinstance(content, dict):
        raise CatalogError(f"{file}: no mapping with names. Export it again.")
    return YoloNames(
        file,
        _checked(file, _numbered(file, content.get("names"))),
        _keypoints(file, content.get("kpt_shape")),
        {
            split: [*_places(file, key, content[key])]
            for key, split in SPLIT_KEYS.items()
            if content.get(key)
        },
    )


def _numbered(file: PurePosixPath, names: object) -> dict[int, Any]:
    if isinstance(names, list):
        pairs: list[tuple[Any, Any]] = list(enumerate(names))
    else:
        pairs = list(names.items()) if isinstance(names, dict) else []
    try:
        numbered = {int(number): name for number, name in pairs}
    except ValueError:
        numbered = {}
    if not numbered:
        raise CatalogError(
            f"{file}: names is neither a list of names nor numbers with a name each. Write it anew."
        )
    return numbered


def _checked(file: PurePosixPath, names: dict[int, str]) -> dict[int, str]:
    if not names:
        raise CatalogError(f"{file}: names no class. Write a name a line.")
    return {number: class_name(name, f"{file}, class {number}") for number, name in names.items()}


def _keypoints(file: PurePosixPath, shape: object) -> int:
    if shape is None:
        return 0
    try:
        count, numbers = map(int, shape if isinstance(shape, list) else ())
    except (TypeError, ValueError):
        count = numbers = 0
    if not 0 < count < LARGEST or numbers not in (2, 3):
        raise CatalogError(f"{file}: kpt_shape is {shape!r}, not [points, 2 or 3]. Correct it.")
    return count * numbers


def _places(file: PurePosixPath, key: str, value: object) -> list[str]:
    places = value if isinstance(value, list) else [value]
    named = [place for place in places if isinstance(place, str)]
    if len(named) < len(places):
        raise CatalogError(f"{file}: {key} is neither a folder nor a list of them. Correct it.")
    return named
