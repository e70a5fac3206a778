"""Polygons and boxes cover what pycocotools says, and leave no image that they were made for."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as theirs

from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.outlines import draw_box, draw_polygons
from defectvision.limits import PIXELS

HEIGHT, WIDTH = 40, 60
TRIANGLE = [10, 10, 50, 10, 10, 30]
NUMBER = st.floats(0, 40, width=32)


@given(st.lists(st.lists(NUMBER, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0),
                min_size=1, max_size=3))  # fmt: skip
def test_polygons_are_those_of_pycocotools(polygons):
    merged = theirs.merge(theirs.frPyObjects(polygons, HEIGHT, WIDTH))
    assert (draw_polygons(polygons, HEIGHT, WIDTH) == theirs.decode(merged)).all()


@pytest.mark.parametrize(
    ("drawn", "area"),
    [
        (draw_polygons([[30, 30, 40, 30, 40, 40, 30, 40]], 50, 50), 100),
        (draw_polygons([[10, 5, 14, 5, 14, 9, 10, 9]], 50, 50), 16),
        (draw_polygons([[0, 0, 60, 0, 60, 40, 0, 40]], HEIGHT, WIDTH), HEIGHT * WIDTH),
        (draw_polygons([[5, 5, 15, 5, 15, 15, 5, 15], [10, 10, 20, 10, 20, 20, 10, 20]], 50, 50),
         175),
        (draw_box([7, 4, 5, 5], HEIGHT, WIDTH), 25),
        (draw_box([58, 38, 5, 5], HEIGHT, WIDTH), 4),
        (draw_box([0, 0, WIDTH, HEIGHT], HEIGHT, WIDTH), HEIGHT * WIDTH),
    ],
)  # fmt: skip
def test_areas_are_what_was_drawn(drawn, area):
    assert drawn.sum() == area


def opened(folder, annotation, **image):
    cv2.imwrite(str(folder / "a.png"), np.zeros((HEIGHT, WIDTH), np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH, **image}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"id": 4, "image_id": 1, "category_id": 1, **annotation}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return open_set(folder, PIXELS)


PAIRS = [[10, 10], [50, 10], [10, 30]]


@pytest.mark.parametrize(
    "segmentation", [[TRIANGLE], TRIANGLE, PAIRS, [PAIRS]], ids=["lists", "flat", "pairs", "nested"]
)
@pytest.mark.parametrize("crowd", [0, 1])
def test_a_polygon_of_any_form_is_the_same(tmp_path, segmentation, crowd):
    found = opened(tmp_path, {"segmentation": segmentation, "iscrowd": crowd, "area": None})
    ((label, mask),) = found.masks(0, (HEIGHT, WIDTH))
    assert label == "pit"
    assert (mask == draw_polygons([TRIANGLE], HEIGHT, WIDTH)).all()


@pytest.mark.parametrize(
    ("annotation", "image", "said"),
    [
        ({"segmentation": [[1, 2, 30, 20]]}, {}, "polygon of 4 numbers"),
        ({"segmentation": [1, 2, 30, 20]}, {}, "polygon of 4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, {}, "polygon of 5 numbers"),
        ({"segmentation": [TRIANGLE, [1, 2, 3, 4]]}, {}, "polygon of 4 numbers"),
        ({"segmentation": [["1", 2, 3, 4, 5, 6]]}, {}, "something else than numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, None]]}, {}, "something else than numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, {}, "something else than numbers"),
        ({"segmentation": "abc"}, {}, "neither polygons nor run lengths"),
        ({"segmentation": [], "bbox": [1, 2, 3]}, {}, "not left, top, width, height"),
        ({"segmentation": []}, {}, "not left, top, width, height"),
        ({"bbox": None}, {}, "not left, top, width, height"),
        ({"bbox": [1, 2, 0, 5]}, {}, "a box of 0 x 5 px"),
        ({"bbox": [1, 2, -3, 5]}, {}, "a box of -3 x 5 px"),
        ({"bbox": ["1", 2, 3, 5]}, {}, "not left, top, width, height"),
        ({"bbox": [1, 2, 500, 5]}, {}, "another size"),
        ({"bbox": [-400, 2, 5, 5]}, {}, "another size"),
        ({"bbox": [1e9, 2, 5, 5]}, {}, "another size"),
        ({"segmentation": [[0, 0, 120, 0, 120, 80]]}, {}, "another size"),
        ({"segmentation": [[3, 3, 3, 3, 3, 3]]}, {}, "marks no pixel"),
        ({"segmentation": [TRIANGLE]}, {"height": WIDTH, "width": HEIGHT}, "made for 40 x 60 px"),
        ({"segmentation": [TRIANGLE]}, {"height": 80, "width": 120}, "made for 120 x 80 px"),
        ({"segmentation": {"size": [WIDTH, HEIGHT], "counts": [100, 2300]}},
         {"height": None, "width": None}, "made for 40 x 60 px"),
        ({"segmentation": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}}, {},
         "marks no pixel"),
    ],
)  # fmt: skip
def test_a_shape_that_cannot_be_drawn_is_named_and_its_image_is_not_good(
    tmp_path, annotation, image, said
):
    found = opened(tmp_path, annotation, **image)
    assert found.catalog.table["label"].tolist() == ["pit"]
    with pytest.raises(CatalogError, match=said):
        found.class_masks(0, (HEIGHT, WIDTH), ["pit"])


def test_an_outline_that_takes_all_memory_is_refused_at_once():
    zigzag = [value for i in range(6000) for value in (4000.0 * (i % 2), float(i % 4000))]
    with pytest.raises(CatalogError, match=r"an outline of \d+ px, which nobody draws"):
        draw_polygons([zigzag], 4000, 4000)
    assert draw_polygons([zigzag[:40]], 4000, 4000).any()
