"""Vectors of pictures from made-up local features: who is whose neighbour."""

import numpy as np
import pytest

from defectvision.copies.keypoints import MIRROR
from defectvision.copies.proposals import DIMENSIONS, embed, neighbours, reduce


def features(seed: int, count: int = 40) -> np.ndarray:
    """(count, 128) uint8 of length 256, as RootSIFT times 256."""
    values = np.random.default_rng(seed).random((count, 128)) ** 4
    return np.rint(256 * np.sqrt(values / values.sum(1, keepdims=True))).astype(np.uint8)


def test_a_picture_and_its_copies_are_each_others_nearest() -> None:
    pictures = [features(seed) for seed in range(12)]
    shuffled = pictures[0][np.random.default_rng(0).permutation(40)]
    mirrored = pictures[1][:, MIRROR]
    part = pictures[2][:30]
    every = [*pictures, shuffled, mirrored, part]
    near = neighbours(embed(lambda i: every[i], len(every)), 3)
    assert near.shape == (15, 3)
    for copy, original in ((12, 0), (13, 1), (14, 2)):
        assert near[copy, 0] == original and near[original, 0] == copy


def test_vectors_have_length_one_and_a_picture_without_points_none() -> None:
    every = [*(features(seed) for seed in range(5)), np.zeros((0, 128), np.uint8)]
    vectors = embed(lambda i: every[i], len(every))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    again = embed(lambda i: every[i], len(every))
    assert (vectors == again).all()  # the vocabulary is drawn with a seed


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_or_empty_pictures_have_no_neighbour_to_speak_of(count: int) -> None:
    vectors = embed(lambda i: np.zeros((0, 128), np.uint8), count)
    assert vectors.shape[0] == count
    assert neighbours(vectors, 6).shape == (count, max(0, count - 1))


def test_nearest_first_and_never_oneself() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]], np.float32)
    assert neighbours(line, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert neighbours(line, 9).shape == (4, 3)


def test_reduced_vectors_keep_who_is_near_whom() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 5, (4, 600))
    vectors = np.repeat(centres, 5, axis=0) + rng.normal(0, 0.1, (20, 600))
    small = reduce(vectors.astype(np.float32), DIMENSIONS)
    assert small.shape == (20, 19)
    near = neighbours(small, 4)
    assert all({int(j) // 5 for j in row} == {i // 5} for i, row in enumerate(near))
