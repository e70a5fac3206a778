"""Which folders of a server somebody at a page may read from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class NotAllowedError(ValueError):
    """A path that may not be read; the message names it, the reason and the remedy."""


def below_a_root(path: Path, roots: Iterable[Path]) -> Path:
    """`path` without links and dots; raises NotAllowedError where it is not below one of `roots`.

    It is the same for a path that does not exist, so that nobody learns which do.
    """
    found = path.expanduser().resolve()
    allowed = [root.expanduser().resolve() for root in roots]
    if not any(found.is_relative_to(root) for root in allowed):
        shown = ", ".join(map(str, allowed)) or "none"
        raise NotAllowedError(
            f"{path}: is not below a folder that may be read here ({shown}). Whoever runs the "
            "server can add it to DEFECTVISION_SOURCE_ROOTS"
        )
    return found
