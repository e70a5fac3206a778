"""The recipe by which a line is learned from photographs of good parts."""

from __future__ import annotations

from typing import Any

import yaml

from defectvision.settings import ROOT

RECIPE = "good_parts"


def good_parts_recipe() -> dict[str, Any]:
    """Its content."""
    text = (ROOT / "recipes" / f"{RECIPE}.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
