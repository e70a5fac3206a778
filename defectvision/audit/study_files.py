"""A finished study in the cache, and back from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from defectvision.audit.cache import write_folder
from defectvision.audit.near_duplicates import Group

TABLES = ("pictures", "regions", "pairs", "map")


def keep(cache: Path, key: str, parts: dict[str, Any]) -> None:
    """Write what was found, by the names it has in a `Study`. Raises OSError."""
    write_folder(_place(cache, key), lambda folder: _write(folder, parts))


def _place(cache: Path, key: str) -> Path:
    return cache / "studies" / key


def _write(folder: Path, parts: dict[str, Any]) -> None:
    for name in TABLES:
        parts[name].to_json(folder / f"{name}.json", orient="split", double_precision=6)
    # under names that any class name fits
    arrays: dict[str, Any] = {f"c{i}": part for i, part in enumerate(parts["coverage"].values())}
    np.savez_compressed(folder / "coverage.npz", **arrays)
    content = {
        "seconds": parts["seconds"],
        "failures": parts["failures"],
        "groups": [[list(g.images), g.kind] for g in parts["groups"]],
        "covered": list(parts["coverage"]),
    }
    (folder / "study.json").write_text(json.dumps(content), encoding="utf-8")


def kept(cache: Path, key: str) -> dict[str, Any] | None:
    """What was found before; None where nothing was, or it is damaged and must be found again."""
    place = _place(cache, key)
    try:
        content = json.loads((place / "study.json").read_text(encoding="utf-8"))
        tables = {}
        for name in TABLES:
            raw = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
            tables[name] = pd.DataFrame(raw["data"], columns=raw["columns"])
        with np.load(place / "coverage.npz") as arrays:
            coverage = {label: arrays[f"c{i}"] for i, label in enumerate(content["covered"])}
        place.touch()
        return {
            **tables,
            "coverage": coverage,
            "groups": [Group(tuple(images), kind) for images, kind in content["groups"]],
            "failures": content["failures"],
            "seconds": content["seconds"],
        }
    except (OSError, ValueError, KeyError):
        return None
