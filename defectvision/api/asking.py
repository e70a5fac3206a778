"""Who inspects the image of a request: this process, unless replicas do (api/replicas.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from defectvision.bundle.schema import Bundle
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import load_inspector
from defectvision.settings import settings


class Asked(NamedTuple):
    """A question about a file: to which bundle of which line, the default one where it is None."""

    line: str
    bundle: str | None
    data: bytes
    name: str


class Answered(NamedTuple):
    """What the bundle said, and which it is."""

    inspection: Inspection
    bundle: Bundle


# Raises BundleError, ImageError and, where others are before it, HTTPException.
Ask = Callable[[Asked], Answered]


def ask_here(asked: Asked) -> Answered:
    """With all cores of this process."""
    about = settings()
    inspector = load_inspector(about.weights, asked.line, asked.bundle, about.limits)
    return Answered(inspector.inspect(asked.data, asked.name), inspector.loaded.bundle)


def asking() -> Ask:
    """The dependency of routes that inspect."""
    return ask_here
