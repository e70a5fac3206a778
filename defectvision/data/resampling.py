"""Intervals of figures by drawing photo groups again (Efron 1979, the bootstrap).

Images of one photo group are one observation: they are drawn together or not at all. A draw is
given as weights of the images, or as their row numbers for figures that take no weights; the two
use the random numbers differently, so a figure keeps the form that it was published with. Where
there are very many groups, they are drawn in bundles (random groups, as in Wolter 2007,
https://doi.org/10.1007/978-0-387-35099-8): a sum over independent groups varies as much either way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

MOST_UNITS = 2000  # that are drawn; more groups are drawn in bundles


def drawn_weights(groups: Sequence[str], draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """`draws` times (N,) how often each image was drawn; as many groups are drawn, with
    repetition, as there are. groups: (N,) photo group of each image."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    for count in counts:
        yield count[member].astype(float)


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws as counts, for figures that are made of sums: those of all draws are one product.

    member: (N,) the unit that each image belongs to, which is its photo group or a bundle of those;
    counts: (draws, units) how often each unit was drawn.
    """

    member: NDArray[np.int64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, groups: NDArray[np.int64], draws: int, seed: int = 0) -> Draws:
        """groups: (N,) number of each image's photo group, 0 to the last without a gap. Up to
        MOST_UNITS groups the draws are those of `drawn_weights`."""
        size = int(groups.max(initial=-1)) + 1
        rng = np.random.default_rng(seed)
        if size <= MOST_UNITS:
            counts = rng.multinomial(size, np.full(size, 1 / max(1, size)), size=draws)
            return cls(groups.astype(np.int64), counts.astype(float))
        member = (rng.permutation(size) * MOST_UNITS // size)[groups]
        places = rng.integers(0, MOST_UNITS, (draws, MOST_UNITS))
        places += np.arange(draws)[:, None] * MOST_UNITS
        counts = np.bincount(places.ravel(), minlength=draws * MOST_UNITS)
        return cls(member, counts.reshape(draws, MOST_UNITS).astype(float))

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(draws, F) sums of the columns of `values` (N, F) over what each draw drew."""
        units = self.counts.shape[1]
        columns = [np.bincount(self.member, column, units) for column in values.T]
        return self.counts @ np.stack(columns, axis=1)


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


def interval_about(value: float, values: Sequence[float]) -> tuple[float, float] | None:
    """`interval` of a figure that draws make larger, such as a mean of gaps, each of which noise
    opens further: moved so that the mean of the draws lies on `value`, and never below 0."""
    found = interval(values)
    if found is None:
        return None
    bias = float(np.nanmean(values)) - value
    return max(0.0, found[0] - bias), max(0.0, found[1] - bias)


def interval(values: Sequence[float] | NDArray[np.floating]) -> tuple[float, float] | None:
    """The middle 95 % of a figure's values over the draws; draws that could not give it (NaN) do
    not count, and where none could there is no interval."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    if not len(known):
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def clopper_pearson(count: float, of: int, sure: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share (Clopper & Pearson 1934, https://doi.org/10.2307/2331986);
    0 and 1 where there is nothing to tell from."""
    if not of:
        return 0.0, 1.0
    tail = (1 - sure) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high
