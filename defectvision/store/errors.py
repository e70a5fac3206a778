"""What goes wrong in the store."""

from __future__ import annotations


class StoreError(RuntimeError):
    """The store cannot be used; the message names what, the reason and the remedy."""


class ContradictionError(StoreError):
    """A decision that contradicts itself; the message says what, and what to decide instead."""


class ClaimLostError(StoreError):
    """Another worker has taken the batch over; see store/claims.py."""


class LostFileError(StoreError):
    """A single file of the store is missing or damaged; the others are there."""
