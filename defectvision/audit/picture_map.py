"""A flat map on which pictures that look alike lie together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MOST = 4_000  # pictures laid out by t-SNE; beyond it the others are put beside their nearest
SEED = 0


def picture_map(vectors: NDArray[np.float32], images: Sequence[int]) -> pd.DataFrame:
    """Rows (image, x, y), coordinates without a unit, for the rows `images` of `vectors`.

    t-SNE (van der Maaten and Hinton 2008) keeps neighbours together; distances between far
    groups mean nothing. A small set, or one that has no structure, gets its principal components.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from sklearn.neighbors import NearestNeighbors

    rows = np.asarray(images, dtype=np.int64)
    chosen = vectors[rows]
    if len(images) < 3 or chosen.shape[1] < 2:
        place = np.zeros((len(images), 2), np.float32)
        place[:, 0] = np.arange(len(images))
        return _table(rows, place)
    if len(images) < 30 or np.ptp(chosen, axis=0).max() < 1e-6:
        place = PCA(2, random_state=SEED).fit_transform(chosen)
        return _table(rows, place)
    rng = np.random.default_rng(SEED)
    laid = np.sort(rng.permutation(len(images))[:MOST])
    flat = PCA(min(30, *chosen.shape), random_state=SEED).fit_transform(chosen)
    placed = TSNE(
        2, perplexity=min(30.0, (len(laid) - 1) / 3), init="pca", max_iter=500, random_state=SEED
    ).fit_transform(flat[laid])
    if len(laid) == len(images):
        return _table(rows, placed)
    near = NearestNeighbors(n_neighbors=3).fit(flat[laid]).kneighbors(flat, return_distance=False)
    place = placed[near].mean(axis=1)
    place[laid] = placed
    return _table(rows, place)


def _table(images: NDArray[np.int64], place: NDArray[np.floating]) -> pd.DataFrame:
    return pd.DataFrame({"image": images, "x": place[:, 0], "y": place[:, 1]})
