"""Lines and bundles as the pages read them: checked once, loaded once, renewed when they change."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from defectvision.inference.bundle import (
    BundleError,
    Line,
    LoadedBundle,
    list_bundles,
    load_bundle,
    read_line,
)
from defectvision.inference.inspector import Inspector
from defectvision.settings import settings


def find_lines() -> tuple[list[Line], list[str]]:
    """The lines that can be read, and what is wrong with the others."""
    lines, problems = [], []
    for file in sorted(settings().weights.glob("*/line.json")):
        try:
            lines.append(read_line(file.parent))
        except BundleError as error:
            problems.append(str(error))
    return lines, problems


def bundle_names(line: str) -> list[str]:
    """The bundles of a line, the default one first."""
    return list_bundles(settings().weights / line)


def loaded_bundle(line: str, bundle: str) -> LoadedBundle:
    """A bundle whose files were checked against their hashes; raises BundleError.

    Checking reads all weights, so it is done again only when bundle.json or line.json changed.
    """
    weights = settings().weights
    return _checked(weights, line, bundle, _stamp(weights, line, bundle))


def inspector(loaded: LoadedBundle) -> Inspector:
    """The inspector of a checked bundle; loading the model takes a moment the first time."""
    return _inspector(loaded.folder, loaded.version, loaded)


def _stamp(weights: Path, line: str, bundle: str) -> tuple[int, ...]:
    files = (weights / line / "line.json", weights / line / bundle / "bundle.json")
    return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)


@st.cache_resource(max_entries=16, show_spinner=False)
def _checked(weights: Path, line: str, bundle: str, stamp: tuple[int, ...]) -> LoadedBundle:
    return load_bundle(weights, line, bundle)


@st.cache_resource(max_entries=4, show_spinner=False)
def _inspector(folder: Path, version: str, _loaded: LoadedBundle) -> Inspector:
    return Inspector(_loaded)
