"""Near-copies: the same photograph again, turned, mirrored, stretched, re-lit or byte for byte.

Vectors propose (`proposals`), geometry confirms (`alignment`), confirmed pairs are joined to
groups. Two groups of several pictures are joined only by two confirmed pairs or more: one wrong
link between large groups would make hundreds of wrong pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.audit.feature_store import FeatureStore
from defectvision.copies.alignment import Agreement, agreement

IDENTICAL = "identical"
ROUNDS = ((0, 6), (6, 14), (14, 28))  # ranks of the neighbours that each round looks at
PER_GROUP_PAIR = 3  # comparisons between two groups in a later round
CHUNK = 64
# Chosen on samples of castings and magnetic tiles; see docs/near-copies.md.
LEAST_INLIERS = 20
LEAST_SHARE = 0.4  # inliers of the matches
LEAST_DETAIL = 0.85
LEAST_LIGHT = 0.85
SMALL_GROUP = 3  # pictures; a smaller group is joined to another by a single pair
LEAST_SUPPORT = 2  # pairs that join two larger groups

Pair = tuple[int, int]


@dataclass(frozen=True)
class Group:
    """Pictures of one photograph: row numbers, and how they differ (`identical`, or the most
    frequent of the kinds of `Agreement`)."""

    images: tuple[int, ...]
    kind: str


def confirmed(match: Agreement | None) -> TypeGuard[Agreement]:
    """Whether two pictures show the same photograph."""
    return (
        match is not None
        and match.inliers >= LEAST_INLIERS
        and match.inliers >= LEAST_SHARE * match.matches
        and match.detail >= LEAST_DETAIL
        and match.light >= LEAST_LIGHT
    )


def compare_pairs(folder: Path, count: int, pairs: list[Pair]) -> list[Agreement | None]:
    """The agreements of pairs of pictures, in a worker process."""
    import cv2

    cv2.setNumThreads(1)
    cv2.setRNGSeed(0)
    store = FeatureStore(folder, count)
    return [agreement(store.get(i), store.get(j)) for i, j in pairs]


def group_pictures(
    digests: Sequence[str],
    neighbours: NDArray[np.int64],
    compare: Callable[[list[Pair]], Iterable[Agreement | None]],
    advance: Callable[[float], None] = lambda share: None,
) -> tuple[list[Group], pd.DataFrame]:
    """The groups, and the confirmed pairs as rows (one, other, inliers, detail, light, kind).

    `digests` of the files ('' where unreadable), `neighbours` (n, k) row numbers, nearest first;
    `compare` yields an agreement for each pair, in their order; `advance` gets the share of the
    work that is done, 0 to 1.
    """
    first: dict[str, int] = {}
    same_file: list[Pair] = []
    for i, digest in enumerate(digests):
        if digest:
            if digest in first:
                same_file.append((first[digest], i))
            first.setdefault(digest, i)
    copies = {j for _, j in same_file}
    edges: dict[Pair, Agreement] = {}
    tested: set[Pair] = set()
    roots = _joined(len(digests), same_file, edges)
    most = _most_pairs(neighbours, copies)
    for number, (low, high) in enumerate(ROUNDS):
        wanted = list(_candidates(neighbours, low, high, copies, roots, tested, number > 0))
        for done, (pair, found) in enumerate(zip(wanted, compare(wanted), strict=True), 1):
            tested.add(pair)
            if confirmed(found):
                edges[pair] = found
            if done % CHUNK == 0 or done == len(wanted):
                here = most[number] * done / len(wanted)
                advance((sum(most[:number]) + here) / max(1, sum(most)))
        roots = _joined(len(digests), same_file, edges)
    return _groups(roots, copies, edges), _table(edges, same_file)


def _most_pairs(neighbours: NDArray[np.int64], copies: set[int]) -> list[int]:
    """How many pairs each round compares at most: known before the first one, so that what is left
    to do never grows while it is done."""
    count = len(neighbours)
    own = np.arange(count)[:, None]
    numbered = np.minimum(own, neighbours) * count + np.maximum(own, neighbours)
    gone = np.fromiter(copies, np.int64, len(copies))
    numbered[np.isin(own, gone) | np.isin(neighbours, gone)] = -1
    upto = [len(np.setdiff1d(numbered[:, :high], [-1])) for _, high in ROUNDS]
    return np.diff([0, *upto]).tolist()


def _candidates(
    neighbours: NDArray[np.int64],
    low: int,
    high: int,
    copies: set[int],
    roots: list[int],
    tested: set[Pair],
    sparing: bool,
) -> Iterator[Pair]:
    """Pairs to compare; `sparing` leaves out what is joined, and most pairs of the same groups."""
    seen: set[Pair] = set()
    between: Counter[Pair] = Counter()
    for rank in range(low, min(high, neighbours.shape[1])):
        for i, other in enumerate(neighbours[:, rank]):
            j = int(other)
            pair = (min(i, j), max(i, j))
            if i in copies or j in copies or pair in seen or pair in tested:
                continue
            seen.add(pair)
            if sparing:
                groups = (min(roots[i], roots[j]), max(roots[i], roots[j]))
                if roots[i] == roots[j] or between[groups] >= PER_GROUP_PAIR:
                    continue
                between[groups] += 1
            yield pair


def _joined(count: int, same_file: list[Pair], edges: dict[Pair, Agreement]) -> list[int]:
    """One picture of each picture's group, the same for the whole group."""
    from scipy.cluster.hierarchy import DisjointSet

    groups = DisjointSet(range(count))
    for i, j in same_file:
        groups.merge(i, j)
    # Pairs that a third picture backs come first: groups have grown when a lone link is judged.
    beside: dict[int, set[int]] = defaultdict(set)
    for i, j in edges:
        beside[i].add(j)
        beside[j].add(i)
    for i, j in edges:
        if beside[i] & beside[j]:
            groups.merge(i, j)
    waiting = sorted(edges, key=lambda pair: -edges[pair].detail)
    changed = True
    while changed:
        changed = False
        support: dict[Pair, list[Pair]] = defaultdict(list)
        for i, j in waiting:
            a, b = sorted((groups[i], groups[j]))
            if a == b:
                continue
            support[a, b].append((i, j))
            small = min(groups.subset_size(i), groups.subset_size(j)) < SMALL_GROUP
            if small or len(support[a, b]) >= LEAST_SUPPORT:
                groups.merge(i, j)
                changed = True
    return [groups[i] for i in range(count)]


def _groups(roots: list[int], copies: set[int], edges: dict[Pair, Agreement]) -> list[Group]:
    members: dict[int, list[int]] = defaultdict(list)
    for i, root in enumerate(roots):
        members[root].append(i)
    kinds: dict[int, Counter[str]] = defaultdict(Counter)
    for (i, _), edge in edges.items():
        kinds[roots[i]][edge.kind] += 1
    found: list[Group] = []
    for root, images in members.items():
        if len(images) > 1:
            counted = kinds[root].most_common(1)
            found.append(Group(tuple(images), counted[0][0] if counted else IDENTICAL))
    return sorted(found, key=lambda g: (-len(g.images), g.images))


def _table(edges: dict[Pair, Agreement], same_file: list[Pair]) -> pd.DataFrame:
    rows = [(i, j, a.inliers, a.detail, a.light, a.kind) for (i, j), a in sorted(edges.items())] + [
        (i, j, 0, 1.0, 1.0, IDENTICAL) for i, j in same_file
    ]
    return pd.DataFrame(rows, columns=["one", "other", "inliers", "detail", "light", "kind"])
