"""Near-copies among drawn castings, turned, mirrored, stretched and re-lit."""

import cv2
import numpy as np
import pytest

from defectvision.audit.near_duplicates import confirmed, group_pictures
from defectvision.copies.alignment import Agreement, agreement
from defectvision.copies.keypoints import extract
from defectvision.copies.proposals import embed, neighbours
from defectvision.data.synthetic.samples import draw

SIZE = 300


def drawn(seed: int) -> np.ndarray:
    return draw("casting", "def", np.random.default_rng(seed), SIZE)


def changed(image: np.ndarray, how: str) -> np.ndarray:
    middle = (SIZE / 2, SIZE / 2)
    if how == "rotated":
        turn = cv2.getRotationMatrix2D(middle, 37, 1.0)
        return cv2.warpAffine(image, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    if how == "mirrored":
        return np.ascontiguousarray(image[:, ::-1])
    if how == "mirrored and rotated":
        return changed(changed(image, "mirrored"), "rotated")
    if how == "stretched":
        return cv2.resize(image, (SIZE, 250))
    if how == "re-lit":
        grey = image.astype(np.float32)
        shade = np.linspace(0.7, 1.1, SIZE, dtype=np.float32)
        return np.clip(255 * (grey / 255) ** 1.25 * shade, 0, 255).astype(np.uint8)
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("rotated", "rotated"),
        ("mirrored", "mirrored"),
        ("mirrored and rotated", "mirrored"),
        ("stretched", "stretched"),
        ("re-lit", "re-lit"),
    ],
)
def test_one_photograph_changed_is_confirmed(how: str, kind: str) -> None:
    image = drawn(1)
    found = agreement(extract(image), extract(changed(image, how)))
    assert confirmed(found), found
    assert found.kind == kind


def test_another_part_of_the_same_kind_is_not() -> None:
    features = [extract(drawn(seed)) for seed in range(8)]
    pairs = [(a, b) for i, a in enumerate(features) for b in features[:i]]
    assert not any(confirmed(agreement(a, b)) for a, b in pairs)


def test_flat_pictures_agree_with_nothing() -> None:
    flat = extract(np.full((64, 64), 90, np.uint8))
    assert agreement(flat, flat) is None


@pytest.mark.slow
def test_groups_of_a_small_set() -> None:
    hows = ("rotated", "mirrored", "re-lit")
    pictures = [
        p for seed in range(6) for p in (drawn(seed), *(changed(drawn(seed), h) for h in hows))
    ]
    features = [extract(p) for p in pictures]
    vectors = embed(lambda i: features[i].descriptors, len(features))
    near = neighbours(vectors, 12)
    digests = [str(i) for i in range(len(pictures))]
    digests[9] = digests[8]  # byte for byte
    groups, pairs = group_pictures(
        digests, near, lambda wanted: [agreement(features[i], features[j]) for i, j in wanted]
    )
    assert sorted(g.images for g in groups) == [tuple(range(4 * k, 4 * k + 4)) for k in range(6)]
    assert (pairs["kind"] == "identical").sum() == 1


def test_one_wrong_link_does_not_join_two_large_groups() -> None:
    good = Agreement(90, 100, 0.97, 0.99, 1.0, "rotated")
    inside = {(i, j) for g in (range(4), range(4, 8)) for i in g for j in g if i < j}
    near = np.array([[j for j in range(8) if j != i] for i in range(8)])

    def compare(wanted: list[tuple[int, int]], links: set[tuple[int, int]]):
        return [good if pair in inside | links else None for pair in wanted]

    digests = [str(i) for i in range(8)]
    groups, _ = group_pictures(digests, near, lambda w: compare(w, {(0, 4)}))
    assert sorted(g.images for g in groups) == [(0, 1, 2, 3), (4, 5, 6, 7)]
    groups, _ = group_pictures(digests, near, lambda w: compare(w, {(0, 4), (1, 5)}))
    assert [g.images for g in groups] == [tuple(range(8))]


@pytest.mark.parametrize("joined", [False, True])
def test_what_is_left_to_compare_never_grows(joined: bool) -> None:
    """Whether later rounds compare all that they may, or nearly nothing as all is one group."""
    good = Agreement(90, 100, 0.97, 0.99, 1.0, "rotated")
    rng = np.random.default_rng(0)
    count = 400
    near = np.array([rng.permutation(np.delete(np.arange(count), i))[:28] for i in range(count)])
    compared, shares = 0, []

    def compare(wanted: list[tuple[int, int]]):
        nonlocal compared
        for _ in wanted:
            compared += 1
            yield good if joined else None

    digests = ["same", "same", *(str(i) for i in range(2, count))]
    group_pictures(digests, near, compare, shares.append)
    assert shares == sorted(shares) and 0 < shares[0] < 0.05
    assert max(shares) <= 1
    if not joined:
        assert shares[-1] == pytest.approx(1)
        pairs = {(min(i, j), max(i, j)) for i in range(count) for j in near[i] if 1 not in (i, j)}
        assert compared == len(pairs)
