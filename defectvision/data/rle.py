"""Run-length masks as Severstal publishes them: column by column, counted from 1."""

import numpy as np
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError


def decode_rle(text: str, height: int, width: int) -> NDArray[np.bool_]:
    """(height, width) bool from `start length start length ...`; '' is an empty mask.

    Raises CatalogError for an odd number of values, runs that overlap and runs outside.
    """
    try:
        values = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise CatalogError(f"run-length mask: not numbers ({text[:40]!r}).") from error
    if values.size % 2:
        raise CatalogError(
            f"run-length mask: {values.size} values. Starts and lengths come in pairs."
        )
    starts, lengths = values[0::2] - 1, values[1::2]
    ends = starts + lengths
    if values.size and (
        starts.min() < 0
        or lengths.min() < 1
        or ends.max() > height * width
        or (starts[1:] < ends[:-1]).any()
    ):
        raise CatalogError(
            f"run-length mask: runs overlap or leave the {width} x {height} px of the image. "
            "Severstal counts pixels from 1, down the columns."
        )
    # +1 where a run begins, -1 after its end: one cumulative sum fills all runs
    edges = np.zeros(height * width + 1, np.int8)
    np.add.at(edges, starts, 1)
    np.add.at(edges, ends, -1)
    return np.cumsum(edges[:-1], dtype=np.int8).astype(bool).reshape(width, height).T


def encode_rle(mask: NDArray[np.bool_]) -> str:
    """The run-length text of a (height, width) mask."""
    flat = np.concatenate([[0], np.asarray(mask, bool).T.ravel().astype(np.int8), [0]])
    changes = np.flatnonzero(np.diff(flat))
    starts, ends = changes[0::2], changes[1::2]
    return " ".join(f"{s + 1} {e - s}" for s, e in zip(starts, ends, strict=True))
