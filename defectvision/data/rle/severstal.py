"""Run-length masks as Kaggle's Severstal competition publishes them: `start length start length
...`, pixels counted from 1, down the columns.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.data.catalog import CatalogError

MOST = 1 << 40  # px of an image, and more: sums of two stay exact


def read_runs(text: str, where: str = "") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts, counted from 0, and lengths of the runs of `text`, in px, in ascending order.

    where: file and row, to begin the message with. Raises CatalogError for what is no number, an
    odd number of values, runs of no length, before the first pixel or that overlap.
    """
    prefix = f"{where}: " if where else ""
    try:
        values = np.array([int(x) for x in text.split()], np.int64)
    except (ValueError, OverflowError) as error:
        raise CatalogError(f"{prefix}run-length mask: not numbers ({text[:40]!r}).") from error
    if values.size % 2:
        raise CatalogError(
            f"{prefix}run-length mask: {values.size} values, an odd number. Starts and lengths "
            "come in pairs."
        )
    if values.size and max(int(values.max()), -int(values.min())) > MOST:
        raise CatalogError(f"{prefix}run-length mask: {values.max()} is past the end of any image.")
    starts, lengths = values[0::2] - 1, values[1::2]
    if values.size and starts.min() < 0:
        raise CatalogError(
            f"{prefix}run-length mask: a run starts at {values[0::2].min()}. Pixels count from 1."
        )
    if values.size and lengths.min() < 1:
        raise CatalogError(f"{prefix}run-length mask: a run of {lengths.min()} px. Leave it out.")
    if (wrong := np.flatnonzero(starts[1:] < (starts + lengths)[:-1])).size:
        run = int(wrong[0])
        raise CatalogError(
            f"{prefix}run-length mask: the runs '{starts[run] + 1} {lengths[run]}' and "
            f"'{starts[run + 1] + 1} {lengths[run + 1]}' overlap or are out of order."
        )
    return starts, lengths


def runs_within(
    text: str, height: int, width: int, where: str = ""
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As `read_runs`, of a mask of that size; raises CatalogError for runs past its end too."""
    starts, lengths = read_runs(text, where)
    if starts.size and (end := int(starts[-1] + lengths[-1])) > height * width:
        raise CatalogError(
            f"{where + ': ' if where else ''}run-length mask: ends at pixel {end}, and the image "
            f"of {width} x {height} px has {height * width}. The mask belongs to an image of "
            "another size."
        )
    return starts, lengths


def decode_rle(text: str, height: int, width: int, where: str = "") -> NDArray[np.bool_]:
    """(height, width) bool from `start length start length ...`; '' is an empty mask.

    where: file and row, to begin the message with. Raises CatalogError for an odd number of
    values, runs that overlap or are out of order, and runs outside the image.
    """
    starts, lengths = runs_within(text, height, width, where)
    flat = np.zeros(height * width, bool)
    for start, end in zip(starts.tolist(), (starts + lengths).tolist(), strict=True):
        flat[start:end] = True
    return flat.reshape(width, height).T


def encode_rle(mask: NDArray[np.bool_]) -> str:
    """The run-length text of a (height, width) mask; '' where it is empty."""
    edges = run_edges(mask)
    starts, lengths = edges[0::2] + 1, edges[1::2] - edges[0::2]
    values = np.stack([starts, lengths], 1).ravel().tolist()
    return " ".join(map(str, values))


def run_edges(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where the runs of a (height, width) mask start and end, in turns, counted from 0 down the
    columns."""
    mask = np.asarray(mask, bool)
    if not mask.size:
        return np.zeros(0, np.int64)
    if mask.T.flags.c_contiguous:
        flat = mask.T.ravel()
    else:
        # OpenCV transposes in blocks, several times as fast as a strided copy.
        flat = cv2.transpose(np.ascontiguousarray(mask).view(np.uint8)).ravel().view(bool)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat[0] else []
    last = [flat.size] if flat[-1] else []
    return np.concatenate([first, changes, last]).astype(np.int64)
