import cv2
import numpy as np
import pytest

from defectvision.inference.part import find_round_part


def _part(centre, axes, degrees, size=(300, 320), table=130, ring=200, noise=3):
    rng = np.random.default_rng(0)
    image = np.full(size, table, np.uint8)
    cv2.ellipse(image, (centre, axes, degrees), ring, -1)
    cv2.ellipse(image, (centre, (axes[0] * 0.52, axes[1] * 0.52), degrees), 30, -1)
    cv2.ellipse(image, (centre, (axes[0] * 0.22, axes[1] * 0.22), degrees), 150, -1)
    image = cv2.GaussianBlur(image, (0, 0), 1).astype(float) + rng.normal(0, noise, size)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("centre", "axes", "degrees", "table"),
    [
        ((160, 150), (240, 240), 0, 130),
        ((150, 158), (200, 250), 30, 130),
        ((165, 145), (180, 150), 80, 235),
        ((160, 150), (270, 250), 10, 170),
    ],
)
def test_outline_is_found_within_three_percent(centre, axes, degrees, table):
    found = find_round_part(_part(centre, axes, degrees, table=table))
    assert found is not None
    angles = np.linspace(0, 2 * np.pi, 50)
    turn = np.deg2rad(degrees)
    ux, uy = axes[0] / 2 * np.cos(angles), axes[1] / 2 * np.sin(angles)
    true = np.stack(
        [
            centre[0] + ux * np.cos(turn) - uy * np.sin(turn),
            centre[1] + ux * np.sin(turn) + uy * np.cos(turn),
        ],
        axis=1,
    )
    assert np.abs(found.radius_of(true) - 1).max() < 0.03


@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0])
def test_outline_scales_with_the_image(scale):
    image = _part((160, 150), (240, 220), 20)
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small, large = find_round_part(image), find_round_part(resized)
    assert large.semi_a == pytest.approx(small.semi_a * scale, rel=0.03)
    assert large.x == pytest.approx(small.x * scale, rel=0.03)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((200, 200), np.uint8),
        np.full((64, 900), 255, np.uint8),
        np.random.default_rng(1).integers(0, 256, (200, 200)).astype(np.uint8),
        np.tile(np.arange(200, dtype=np.uint8), (200, 1)),
        np.zeros((16, 16), np.uint8),
    ],
    ids=["black", "flat and long", "noise", "ramp", "tiny"],
)
def test_no_part_is_claimed_where_there_is_none(image):
    assert find_round_part(image) is None


def test_real_castings_are_found(shared_data):
    files = sorted((shared_data / "casting").rglob("*.jp*g"))[::25]
    found = [find_round_part(cv2.imread(str(f), cv2.IMREAD_GRAYSCALE)) for f in files]
    share = np.mean([part is not None for part in found])
    assert share >= 0.99, f"only {share:.1%} of {len(files)} castings"
