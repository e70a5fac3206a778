"""The map of pictures: each has a place, and what looks alike lies together."""

import numpy as np
import pytest

from defectvision.audit import picture_map as module
from defectvision.audit.picture_map import picture_map


def clusters(each: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(c, 0.05, (each, 8)) for c in (0, 5, 10)]).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 29, 45])
def test_every_chosen_picture_has_one_place(count: int) -> None:
    vectors = clusters(20)
    images = list(range(0, count))
    table = picture_map(vectors, images)
    assert table["image"].tolist() == images
    assert np.isfinite(table[["x", "y"]].to_numpy(float)).all()


@pytest.mark.parametrize("most", [4_000, 40])
def test_pictures_that_look_alike_lie_together(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond `MOST` pictures the others are put beside their nearest."""
    monkeypatch.setattr(module, "MOST", most)
    table = picture_map(clusters(20), range(60))
    places = table[["x", "y"]].to_numpy(float)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    assert (nearest // 20 == np.arange(60) // 20).mean() > 0.95


def test_a_set_without_structure_is_laid_out_all_the_same() -> None:
    table = picture_map(np.ones((50, 4), np.float32), range(50))
    assert len(table) == 50 and np.isfinite(table[["x", "y"]].to_numpy(float)).all()


def test_the_same_pictures_get_the_same_map() -> None:
    first, again = (picture_map(clusters(15), range(45)) for _ in range(2))
    assert first.equals(again)
