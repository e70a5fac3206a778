"""How two pictures lie on each other: kind and numbers for changes that are known."""

import cv2
import numpy as np
import pytest

from defectvision.copies.alignment import agreement
from defectvision.copies.keypoints import MIRROR, SMALL_SIDE, Features, extract
from defectvision.data.synthetic.samples import draw

SIZE = 300


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return draw("casting", "def", np.random.default_rng(3), SIZE)


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)


CHANGES = {
    "same view": lambda image: image.copy(),
    "rotated": lambda image: turned(image, -20),
    "mirrored": lambda image: image[:, ::-1].copy(),
    "stretched": lambda image: cv2.resize(image, (SIZE, 240)),
    "re-lit": lambda image: np.clip(image * 0.8, 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_known_change_is_named_and_the_pictures_agree(picture: np.ndarray, kind: str) -> None:
    found = agreement(extract(picture), extract(CHANGES[kind](picture)))
    assert found is not None and found.kind == kind
    assert found.inliers <= found.matches
    assert found.detail > 0.9 and found.overlap > 0.8


def test_a_picture_agrees_with_itself_wholly(picture: np.ndarray) -> None:
    features = extract(picture)
    found = agreement(features, features)
    assert found is not None
    assert (found.inliers, found.overlap) == (len(features.points), pytest.approx(1, abs=0.06))
    assert found.detail == pytest.approx(1, abs=0.01) == found.light


def test_noise_agrees_with_no_part(picture: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), np.uint8)
    found = agreement(extract(picture), extract(noise))
    assert found is None or found.inliers < 12


def test_a_quarter_of_a_picture_is_too_little_to_agree(picture: np.ndarray) -> None:
    """Where less than a third of the smaller one is shown by both, nothing is said."""
    one = extract(picture)
    shifted = np.full_like(picture, 128)
    shifted[:, :75] = picture[:, -75:]
    assert agreement(one, extract(shifted)) is None


def test_mirroring_only_reorders_a_descriptor() -> None:
    assert sorted(MIRROR) == list(range(128))
    assert (np.arange(128)[MIRROR][MIRROR] == np.arange(128)).all()


@pytest.mark.parametrize(("size", "small"), [((100, 400), (40, 160)), ((40, 20), (160, 80))])
def test_features_hold_a_small_copy_of_the_picture(
    size: tuple[int, int], small: tuple[int, int]
) -> None:
    features = extract(np.full(size, 77, np.uint8))
    assert isinstance(features, Features) and features.size == small
    assert features.small.shape == (SMALL_SIDE, SMALL_SIDE)
    assert (features.small[: small[0], : small[1]] == 77).all()
    assert not features.small[small[0] :].any() and len(features.points) == 0
