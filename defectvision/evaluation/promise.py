"""What can be promised of a threshold that good parts alone have set.

The share of good parts that score higher than the k + 1st highest of n of them follows a beta
distribution (Wilks 1941, https://doi.org/10.1214/aoms/1177731788), however their scores are
distributed. Parts are photo groups: several pictures of one part say no more than one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from defectvision.words import counted

SURE = 0.95
ESCAPES_UNKNOWN = (
    "How many defective parts it lets through is not known: no picture of one was at hand."
)


def most_stopped(parts: int, above: int = 0) -> float:
    """The share of good parts that a threshold, which `above` of `parts` good parts reach, stops at
    most, SURE of it; 1 where nothing can be promised."""
    if above >= parts:
        return 1.0
    return float(betaincinv(above + 1, parts - above, SURE))


def parts_needed(share: float) -> int:
    """How many good parts it takes to promise that at most `share` of them is stopped."""
    return math.ceil(math.log(1 - SURE) / math.log(1 - share))


def most_above(parts: int, asked: float) -> int:
    """How many of `parts` may reach a threshold that stops at most the share `asked`, SURE of it;
    0 where not even that can be promised."""
    low, high = 0, parts
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if most_stopped(parts, middle) <= asked else (low, middle)
    return low


def promised(parts: int, asked: float) -> float:
    """The share of good parts that the limit of so many, see `limit_of`, stops at most, SURE of
    it."""
    return most_stopped(parts, most_above(parts, asked))


def highest(scores: NDArray[np.float64], parts: NDArray[np.str_]) -> NDArray[np.float64]:
    """The highest of the scores (N,) of each part's pictures; parts: (N,) photo groups."""
    names, member = np.unique(parts, return_inverse=True)
    found = np.full(len(names), -np.inf)
    np.maximum.at(found, member, scores)
    return found


def limit_of(scores: NDArray[np.floating], asked: float) -> tuple[float, float]:
    """The lowest limit on the scores that keeps what is stopped within the share `asked`, and the
    share that it promises; the highest score, and more than was asked, where the parts are too few.

    scores: (N,), the highest of each good part's pictures. Who scores higher than the limit is
    stopped.
    """
    falling = np.sort(scores)[::-1]
    above = most_above(len(falling), asked)
    return float(falling[above]), promised(len(falling), asked)


def in_words(parts: int, share: float, asked: float) -> str:
    """ "From 30 good parts, at most 9.5 % of good parts stopped can be promised (95 % sure); 59
    would allow 5 %." Where no more was promised than was asked for, more parts change nothing."""
    said = (
        f"From {counted(parts, 'good part')}, at most {_percent(share)} of good parts stopped "
        f"can be promised ({SURE:.0%} sure)"
    )
    if share <= asked:
        return f"{said}."
    return f"{said}; {parts_needed(asked)} would allow {_percent(asked)}."


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
