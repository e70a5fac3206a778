"""Readers of published layouts: each gives a catalog."""

from defectvision.data.readers.folders import open_catalog

__all__ = ["open_catalog"]
