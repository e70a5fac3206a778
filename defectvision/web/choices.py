"""Lines and bundles as the pages read them."""

from __future__ import annotations

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, list_bundles, load_bundle_once, read_line
from defectvision.bundle.schema import LoadedBundle
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
    """A bundle whose files were checked against their hashes; raises BundleError."""
    return load_bundle_once(settings().weights, line, bundle)
