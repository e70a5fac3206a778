"""COCO's run lengths, and how they become ours.

COCO counts down the columns as Severstal does, but writes lengths alone, of background and
object in turns, background first. `uncompressed` is a list of these; `compressed` writes each as
its difference from the one two before it, five bits a character, the lowest first, from '0' on
(pycocotools, common/maskApi.c), to which the tests hold this file.

Reading is not left to pycocotools: lengths that do not add up to the mask give it a mask of
whatever lay in memory, and what is wrong in which annotation could not be said. Writing alone is
no reason to install it on every server.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError
from defectvision.data.rle.severstal import run_edges

MORE, SIGN, BITS, FIRST = 0x20, 0x10, 0x1F, 48
LONGEST = 60  # bits of a number; more would only keep us busy


def compress(counts: Sequence[int]) -> str:
    """Lengths as COCO's text."""
    text = bytearray()
    for i, count in enumerate(counts):
        # From the fourth on, neighbours in the same column run differ little: a short number.
        value = count - counts[i - 2] if i > 2 else count
        while True:
            bits, value = value & BITS, value >> 5
            done = value == -1 if bits & SIGN else value == 0
            text.append((bits if done else bits | MORE) + FIRST)
            if done:
                break
    return text.decode("ascii")


def expand(text: str) -> list[int]:
    """The lengths of COCO's text; raises ValueError where it is none."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - FIRST
        if not 0 <= bits <= MORE | BITS:
            raise ValueError(f"the character {character!r} is none of COCO's run lengths")
        value |= (bits & BITS) << shift
        shift += 5
        if shift > LONGEST:
            raise ValueError("a number that no image's run lengths reach")
        if bits & MORE:
            continue
        if bits & SIGN:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the run lengths end within a number")
    return counts


def mask_counts(mask: NDArray[np.bool_]) -> list[int]:
    """The lengths of a (height, width) mask, background first."""
    edges = run_edges(mask)
    ends = [*edges.tolist(), mask.size]
    lengths = np.diff([0, *ends]).tolist()
    # A mask that ends with its object has no background after it.
    return lengths[:-1] if len(edges) and lengths[-1] == 0 else lengths


def read_segmentation(
    segmentation: dict[str, Any], size: tuple[int, int] | None, where: str
) -> tuple[str, int]:
    """A run-length segmentation, compressed or not, as Severstal's text and its area in px.

    size: (height, width) of the image as the file tells it. Raises CatalogError, which begins
    with `where`, for run lengths that cannot be read or are of another size.
    """
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        counts = expand(counts) if isinstance(counts, str) else [int(c) for c in counts]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CatalogError(f"{where}: its run lengths cannot be read ({error}).") from error
    if size is not None and (height, width) != size:
        raise CatalogError(
            f"{where}: the mask is {width} x {height} px, the image {size[1]} x {size[0]} px."
        )
    if (least := min(counts, default=0)) < 0:
        raise CatalogError(f"{where}: a run of {least} px. Export the file again.")
    if sum(counts) != height * width:
        raise CatalogError(
            f"{where}: the run lengths add up to {sum(counts)} px, and the mask of {width} x "
            f"{height} px has {height * width}."
        )
    ends = np.cumsum(counts)[1::2].tolist()
    runs = [(end - n, n) for end, n in zip(ends, counts[1::2], strict=True) if n]
    return " ".join(f"{start + 1} {n}" for start, n in runs), sum(n for _, n in runs)
