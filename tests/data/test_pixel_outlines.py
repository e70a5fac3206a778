"""Outlines along the edges of pixels hold just these pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from defectvision.data.outlines import draw_polygons
from defectvision.data.pixel_outlines import pixel_outlines


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.booleans()))
def test_drawn_again_they_are_the_mask(mask) -> None:
    polygons = pixel_outlines(mask)
    if not mask.any():
        assert polygons == []
        return
    assert np.array_equal(draw_polygons(polygons, *mask.shape), mask)


def test_an_area_is_one_polygon_and_its_holes_hang_at_it() -> None:
    mask = np.zeros((9, 12), bool)
    mask[1:8, 1:8] = True
    mask[3, 3] = mask[5, 5] = False
    mask[0, 10:] = True
    outer, bar = sorted(pixel_outlines(mask), key=len, reverse=True)
    assert bar == [10, 0, 12, 0, 12, 1, 10, 1]
    assert outer.count(8) >= 2 and len(outer) > 8
