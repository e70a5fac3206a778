"""A frame without structure is told as such in every size, grey, colour and depth; a picture of
anything is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defectvision.data.synthetic.foreign import DRAWN, structureless
from defectvision.data.synthetic.samples import draw
from defectvision.inference.structure import has_structure
from tests.stand_ins.bundles import LINES

SIZES = [(16, 16), (64, 48), (200, 200), (256, 1600), (1200, 900)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", [0, 1, 30, 128, 254, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_grey_is_nothing(size, level, channels) -> None:
    frame = np.full((*size, channels), level, np.uint8)
    assert not has_structure(frame[:, :, 0] if channels == 1 else frame)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 90, 200), (250, 250, 3), (12, 200, 12)])
def test_one_colour_is_nothing(colour) -> None:
    assert not has_structure(np.full((240, 320, 3), colour, np.uint8))


# One frame of 3,000 is above (structure.py): other frames each time would fail now and then.
@settings(derandomize=True, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), quality=st.one_of(st.none(), st.integers(40, 95)))
def test_noise_and_gradients_are_nothing(seed: int, quality: int | None) -> None:
    frame = structureless(np.random.default_rng(seed))
    if quality is not None:
        coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        frame = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED)
    assert not has_structure(frame)


@pytest.mark.parametrize("line", LINES)
def test_a_drawn_part_is_something(line: str) -> None:
    for label in LINES[line].class_names:
        for seed in range(4):
            size = 256 if line == "severstal-strip" else 200
            assert has_structure(draw(line, label, np.random.default_rng(seed), size)), label


@pytest.mark.parametrize("kind", ["text", "shapes", "cat"])
def test_a_drawing_is_something(kind: str) -> None:
    rng = np.random.default_rng(0)
    assert sum(has_structure(DRAWN[kind](rng)) for _ in range(40)) >= 38
