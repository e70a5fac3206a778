"""Lines and bundles as the pages read them."""

from __future__ import annotations

from defectvision.bundle.reader import list_bundles, load_bundle_once
from defectvision.bundle.schema import LoadedBundle
from defectvision.settings import settings


def bundle_names(line: str) -> list[str]:
    """The bundles of a line, the default one first."""
    return list_bundles(settings().weights / line)


def loaded_bundle(line: str, bundle: str) -> LoadedBundle:
    """A bundle whose files were checked against their hashes; raises BundleError."""
    return load_bundle_once(settings().weights, line, bundle)
