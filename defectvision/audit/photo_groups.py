"""Which images show the same part: those that say so, joined with near-copies of one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from defectvision.audit.near_duplicates import group_pictures
from defectvision.copies.alignment import agreement
from defectvision.copies.keypoints import Features
from defectvision.copies.proposals import embed, neighbours

NEAREST = 6  # other pictures that each is compared with


def photo_groups(
    parts: Sequence[str],
    digests: Sequence[str],
    pictures: Sequence[Features],
    advance: Callable[[float], None] = lambda share: None,
) -> NDArray[np.int64]:
    """(N,) a number for each image, the same for those of one part. parts: which part an image
    shows, empty where nobody said; digests: of the files; `advance` gets the share of the work that
    is done, 0 to 1."""
    from scipy.cluster.hierarchy import DisjointSet

    joined = DisjointSet(range(len(parts)))
    first: dict[str, int] = {}
    for row, part in enumerate(parts):
        if part:
            joined.merge(first.setdefault(part, row), row)
    with threadpool_limits(1):  # more only wait for each other at products of this size
        near = neighbours(embed(lambda row: pictures[row].descriptors, len(pictures)), NEAREST)
        copies, _ = group_pictures(
            digests,
            near,
            lambda pairs: (agreement(pictures[one], pictures[other]) for one, other in pairs),
            advance,
        )
    for group in copies:
        for row in group.images[1:]:
            joined.merge(group.images[0], row)
    return np.array([joined[row] for row in range(len(parts))], np.int64)
