"""Samples of 9 to 16 bits to 8, by one scale for a camera.

A picture of 12 bits in a 16-bit file looks sixteen times darker than it is if it is taken for 16
bits, and a single hot pixel decides if its largest value is taken for the camera's. So the file's
own word counts first, then what the line states; else only a picture that cannot be of fewer bits
is read, and the others are refused with their range.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from defectvision.inference.image_error import Refusal

FULL = 16
# This share of the samples must need the sixteenth bit, so that hot pixels decide nothing.
SURE_SHARE = 0.01


def sample_bits(values: NDArray[np.uint16], tagged: int | None, stated: int | None) -> int:
    """The bits of the camera whose samples are `values` (any shape), 9 to 16.

    tagged: what the file says of itself; stated: what the line says. Raises Refusal where neither
    says anything and the samples do not, or where they contradict what the line states.
    """
    most = int(values.max(initial=0))
    if tagged is not None:
        return FULL if _fills_sixteen(values, most, tagged) else tagged
    if stated is not None:
        if most >> stated:
            raise Refusal(
                f"16-bit samples up to {most}, more than the {stated} bits that the line states",
                "Correct `bits` in line.json, or export the picture with 8 bits a channel.",
            )
        return stated
    if np.count_nonzero(values >> (FULL - 1)) >= max(1, SURE_SHARE * values.size):
        return FULL
    raise Refusal(
        f"a 16-bit file that does not say its range (samples up to {most}, so "
        f"{max(9, most.bit_length())} to 16 bits)",
        "State the camera's bits: `bits` in line.json, or --bits where a set is opened; or export "
        "it with 8 bits a channel.",
    )


def _fills_sixteen(values: NDArray[np.uint16], most: int, tagged: int) -> bool:
    """Whether samples of `tagged` bits were spread over 16, as PNG asks for (sBIT): they exceed
    `tagged` bits, or leave the lowest ones empty."""
    if most >> tagged:
        return True
    spread = FULL - tagged
    return most > 0 and spread > 0 and not (values & ((1 << spread) - 1)).any()
