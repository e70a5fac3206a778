"""What goes wrong in the store."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be used; the message names what, the reason and the remedy."""
