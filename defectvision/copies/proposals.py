"""Which pictures might show the same: one vector per picture, nearest neighbours among them.

VLAD (Jegou et al. 2010) of the local features over a vocabulary learned from the set itself. The
vector of a picture and that of its mirror image are added, so that turning and mirroring leave it
as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from defectvision.copies.keypoints import MIRROR

WORDS = 48
SAMPLE = 40_000  # descriptors the vocabulary is learned from
DIMENSIONS = 256
SEED = 0
TOLD = 64  # pictures between two words on how far it is


def embed(
    descriptors: Callable[[int], NDArray[np.uint8]],
    count: int,
    advance: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """(count, d) vectors of length 1 (0 where a picture has no points), d <= DIMENSIONS.

    `descriptors(i)` gives the (n, 128) uint8 local features of picture i; `advance` gets how many
    pictures are done.
    """
    rng = np.random.default_rng(SEED)
    shown = rng.permutation(count)[:1500]
    each = max(4, SAMPLE // max(1, len(shown)))
    drawn = [_some(descriptors(int(i)), each, rng) for i in shown]
    sample = np.concatenate(drawn) if drawn else np.zeros((0, 128), np.uint8)
    if len(sample) < 2:
        return np.zeros((count, 1), np.float32)
    centres = vocabulary(sample, WORDS)
    vectors = np.zeros((count, centres.size), np.float32)
    for i in range(count):
        vectors[i] = vlad(descriptors(i), centres)
        if i % TOLD == TOLD - 1:
            advance(i + 1)
    return reduce(vectors, DIMENSIONS)


def vocabulary(sample: NDArray[np.uint8], words: int) -> NDArray[np.float32]:
    """(W, 128) usual descriptors among `sample` (n, 128) and its mirror images; W <= `words`, and
    at most n."""
    from sklearn.cluster import MiniBatchKMeans

    both = np.concatenate([sample, sample[:, MIRROR]]).astype(np.float32) / 256
    found = MiniBatchKMeans(
        min(words, len(sample)), random_state=SEED, n_init=1, batch_size=4096, max_iter=20
    )
    return found.fit(both).cluster_centers_.astype(np.float32)


def _some(values: NDArray[np.uint8], most: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    return values if len(values) <= most else values[rng.permutation(len(values))[:most]]


def vlad(values: NDArray[np.uint8], centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """(W * 128,) of length 1: how the descriptors `values` (n, 128) and their mirror images lie
    about the usual ones (W, 128)."""
    out = np.zeros_like(centres)
    for order in (slice(None), MIRROR):
        x = values[:, order].astype(np.float32) / 256
        if not len(x):
            continue
        nearest = (x @ centres.T - 0.5 * (centres**2).sum(1)).argmax(axis=1)
        one_hot = np.zeros((len(centres), len(x)), np.float32)
        one_hot[nearest, np.arange(len(x))] = 1
        out += one_hot @ x - one_hot.sum(axis=1, keepdims=True) * centres
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    flat = out.ravel()
    return flat / max(float(np.linalg.norm(flat)), 1e-6)


def reduce(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The leading principal components, each vector scaled to length 1."""
    from sklearn.decomposition import PCA

    keep = min(dimensions, vectors.shape[0] - 1, vectors.shape[1])
    if keep < 2:
        return vectors
    found = PCA(keep, svd_solver="randomized", random_state=SEED, iterated_power=2)
    small = found.fit_transform(vectors).astype(np.float32)
    # half-whitened: the first components only say which lamp was on
    small /= np.sqrt(np.sqrt(found.explained_variance_.astype(np.float32)) + 1e-6)
    return small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)


def neighbours(vectors: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """(n, k) numbers of the nearest other pictures, the nearest first; k <= `most`."""
    from sklearn.neighbors import NearestNeighbors

    count = len(vectors)
    k = min(most, count - 1)
    if k < 1:
        return np.zeros((count, 0), np.int64)
    found = NearestNeighbors(n_neighbors=k, metric="euclidean").fit(vectors)
    return found.kneighbors(return_distance=False).astype(np.int64)
