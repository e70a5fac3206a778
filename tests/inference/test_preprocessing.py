import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from defectvision.bundle.schema import Preprocessing
from defectvision.inference.frame import Frame
from defectvision.inference.preprocessing import PART_RADIUS, place, prepare


def _dot(height, width, y, x):
    size = max(height, width) // 30
    image = np.full((height, width), 100, np.uint8)
    image[y - size : y + size, x - size : x + size] = 250
    return image


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "round_part"])
@pytest.mark.parametrize(("height", "width"), [(200, 300), (480, 100), (64, 64), (1200, 900)])
def test_a_place_in_the_input_maps_back_to_its_place_in_the_image(fit, height, width):
    y, x = height // 4, 2 * width // 3
    how = Preprocessing(height=96, width=128, fit=fit)
    placed = place(_dot(height, width, y, x), how)
    heat = np.where(placed.pixels > 150, placed.pixels, 0).astype(np.float32)
    back = Frame((height, width), (96, 128), placed.to_image).on_image(heat)
    rows, columns = np.nonzero(back > back.max() / 2)
    tolerance = 1 + max(height / 96, width / 128)
    assert rows.mean() == pytest.approx(y - 0.5, abs=tolerance)
    assert columns.mean() == pytest.approx(x - 0.5, abs=tolerance)


def test_coarse_grid_keeps_its_total_weight_in_place():
    grid = np.zeros((7, 7), np.float32)
    grid[2, 5] = 1
    how = Preprocessing(height=70, width=70)
    placed = place(np.zeros((140, 140), np.uint8), how)
    drawn = Frame((140, 140), (70, 70), placed.to_image).on_image(grid)
    peak = np.unravel_index(drawn.argmax(), drawn.shape)
    assert peak == (pytest.approx(2.5 * 20, abs=1.5), pytest.approx(5.5 * 20, abs=1.5))


def _casting(table=130, gain=1.0, offset=0.0):
    image = np.full((300, 300), table, float)
    part = np.zeros((300, 300), np.uint8)
    cv2.ellipse(part, ((150, 155), (230, 200), 15), 200, -1)
    cv2.ellipse(part, ((150, 155), (120, 104), 15), 30, -1)
    inside = part > 0
    image[inside] = part[inside]
    image = cv2.GaussianBlur(image, (0, 0), 1) * gain + offset
    return np.clip(image, 0, 255).astype(np.uint8)


ROUND = Preprocessing(height=160, width=160, fit="round_part")


def test_part_becomes_a_centred_circle():
    placed = place(_casting(), ROUND)
    assert placed.part_found
    rim = placed.pixels.astype(float)
    y, x = np.mgrid[:160, :160] - 79.5
    radius = np.hypot(x, y) / (PART_RADIUS * 160)
    assert abs(np.median(rim[(radius > 0.9) & (radius < 0.97)]) - 200) < 8
    assert abs(np.median(rim[(radius > 1.03) & (radius < 1.05)]) - 130) < 15
    assert not placed.pixels[radius > 1.07].any()


def test_overall_light_and_table_do_not_change_the_part():
    reference, placed = prepare(_casting(), ROUND)
    inner = cv2.erode(placed.inside.astype(np.uint8), np.ones((9, 9))).astype(bool)
    for changed in (_casting(table=90), _casting(gain=0.7), _casting(gain=0.8, offset=30)):
        tensor, _ = prepare(changed, ROUND)
        difference = np.abs(tensor[0][inner] - reference[0][inner])
        # The outline may move by a fraction of a pixel, which shows at the sharp edges alone.
        assert np.percentile(difference, 90) < 0.05


def test_no_part_falls_back_to_the_whole_image():
    tensor, placed = prepare(np.full((100, 200), 77, np.uint8), ROUND)
    assert not placed.part_found
    assert placed.visible.mean() == pytest.approx(0.5, abs=0.02)
    assert np.isfinite(tensor).all()


@pytest.mark.parametrize(("contrast", "seen"), [(0, 0), (8, 0.25), (64, 1)])
def test_little_contrast_is_not_blown_up_to_much(contrast, seen):
    how = Preprocessing(height=64, width=64, least_contrast=32)
    checks = np.indices((64, 64)).sum(0) // 8 % 2
    tensor, _ = prepare((100 + contrast * (2 * checks - 1)).astype(np.uint8), how)
    assert tensor.std() == pytest.approx(seen) and abs(tensor.mean()) < 1e-3


def test_fixed_lighting_is_the_stated_formula():
    how = Preprocessing(
        height=32, width=32, channels=3, lighting="fixed", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)
    )
    tensor, _ = prepare(np.full((50, 50), 128, np.uint8), how)
    wanted = [(128 / 255 - m) / s for m, s in zip(how.mean, how.std, strict=True)]
    assert tensor.mean((1, 2)) == pytest.approx(wanted, abs=1e-5)
    assert tensor.shape == (3, 32, 32)


@pytest.mark.parametrize(
    "wrong", [{"fit": "crop"}, {"height": 0}, {"channels": 2}, {"surprise": 1}]
)
def test_unknown_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        Preprocessing.model_validate({"height": 64, "width": 64, **wrong})
