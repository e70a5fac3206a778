"""How much one process may take, the largest image and the memory for models, and from whom."""

from __future__ import annotations

from dataclasses import dataclass

PIXELS = 64_000_000
MODEL_BYTES = 1_000_000_000
SMALL_FILE = 1 << 20  # bytes of a file that somebody names and that is text: a policy, a recipe
DECODE_BYTES = 900_000_000  # for decoding, of all pictures that a process decodes at a time


@dataclass(frozen=True)
class Limits:
    """Handed down from the settings of the machine, so that every way in has the same ones.

    pixels: of the largest image that is decoded; model_bytes: what all loaded models may take
    before those that nobody asked for the longest are let go; trusted: names and public keys of
    those whose signature a bundle needs, empty where it needs none.
    """

    pixels: int = PIXELS
    model_bytes: int = MODEL_BYTES
    trusted: tuple[tuple[str, str], ...] = ()
