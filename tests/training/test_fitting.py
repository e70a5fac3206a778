"""The model's input as the pictures of a set suggest it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import write_samples
from defectvision.limits import PIXELS
from defectvision.settings import ROOT
from defectvision.training.fitting import fitted, shrunk
from defectvision.training.recipe import Recipe, load_recipe

RECIPE = load_recipe(ROOT / "recipes" / "good_parts.yaml")


def fit(folder: Path) -> tuple[Recipe, tuple[int, int, str, int]]:
    recipe = fitted(RECIPE, open_set(folder, PIXELS, unsorted_good=True))
    how = recipe.preprocessing
    return recipe, (how.height, how.width, how.fit, how.channels)


def write(folder: Path, sizes: list[tuple[int, int]], hole: bool = False, tint: int = 0) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(sizes):
        grey = cv2.resize(rng.normal(150, 15, (9, 9)).astype(np.float32), (width, height))
        if hole:
            cv2.circle(grey, (width // 3, height // 2), min(height, width) // 8, 20, -1)
        image = np.repeat(grey.clip(0, 255).astype(np.uint8)[:, :, None], 3, 2)
        image[:, :, 0] -= np.uint8(tint)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(900, 900)] * 3, (320, 320, "stretch", 1)),
        ([(480, 640)] * 3, (256, 320, "stretch", 1)),
        ([(256, 1600)] * 3, (64, 320, "stretch", 1)),
        ([(100, 100)] * 3, (192, 192, "stretch", 1)),
        ([(20, 700)] * 3, (32, 320, "stretch", 1)),
        ([(400, 400), (400, 420), (300, 500)], (320, 320, "letterbox", 1)),
    ],
)
def test_the_input_has_the_shape_of_the_pictures(tmp_path, sizes, wanted):
    assert fit(write(tmp_path / "a", sizes))[1] == wanted


def test_a_hole_in_a_plate_is_no_round_part_and_a_casting_is(tmp_path):
    assert fit(write(tmp_path / "plates", [(300, 400)] * 4, hole=True))[1][2] == "stretch"
    write_samples("casting", tmp_path / "castings", per_class=4, seed=0)
    assert fit(tmp_path / "castings")[1] == (320, 320, "round_part", 1)


def test_colour_is_seen(tmp_path):
    assert fit(write(tmp_path / "a", [(200, 200)] * 2, tint=40))[1][3] == 3


def test_how_much_pictures_are_shrunk(tmp_path):
    folder = write(tmp_path / "a", [(640, 1280)] * 2)
    recipe, _ = fit(folder)
    images = open_set(folder, PIXELS, unsorted_good=True)
    assert shrunk(recipe, images) == pytest.approx(4, abs=0.05)


def test_a_picture_that_cannot_be_read_does_not_decide(tmp_path):
    folder = write(tmp_path / "a", [(300, 300)] * 3)
    (folder / "broken.png").write_bytes(b"none")
    assert fit(folder)[1] == (320, 320, "stretch", 1)
