"""Intervals of figures by drawing photo groups again (Efron 1979, the bootstrap).

Images of one photo group are one observation: they are drawn together or not at all. A draw is
given as weights of the images, or as their row numbers for figures that take no weights; the two
use the random numbers differently, so a figure keeps the form that it was published with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def drawn_weights(groups: Sequence[str], draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """`draws` times (N,) how often each image was drawn; as many groups are drawn, with
    repetition, as there are. groups: (N,) photo group of each image."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    for count in counts:
        yield count[member].astype(float)


def drawn_rows(groups: Sequence[str], draws: int, seed: int) -> list[NDArray[np.int64]]:
    """`draws` times the row numbers of the images drawn, those of a group drawn twice standing
    twice; none where all images are of one group."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(member == number) for number in range(len(names))]
    rng = np.random.default_rng(seed)
    if len(rows) < 2:
        return []
    return [
        np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        for _ in range(draws)
    ]


def interval(values: Sequence[float] | NDArray[np.floating]) -> tuple[float, float] | None:
    """The middle 95 % of a figure's values over the draws; draws that could not give it (NaN) do
    not count, and where none could there is no interval."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
