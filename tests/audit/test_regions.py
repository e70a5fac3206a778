import numpy as np
import pytest

from defectvision.audit.regions import coverage, measure_regions
from defectvision.data.masks import masks_of_annotations


def test_a_tilted_bar_is_measured_along_itself() -> None:
    import cv2

    mask = np.zeros((100, 200), np.uint8)
    cv2.line(mask, (20, 20), (80, 80), 1, 3)
    mask[90:93, 150:190] = 1
    rows = list(measure_regions([("crack", mask.astype(bool))]))
    assert len(rows) == 2
    bar = max(rows, key=lambda r: r["y"])
    assert bar["area_px"] == 120
    assert (bar["length_px"], bar["width_px"]) == (pytest.approx(40), pytest.approx(3))
    assert bar["elongation"] == pytest.approx(40 / 3)
    assert (bar["x"], bar["y"]) == (pytest.approx(0.85), pytest.approx(0.915))
    tilted = min(rows, key=lambda r: r["y"])
    assert tilted["length_px"] == pytest.approx(60 * 2**0.5 + 4, abs=3)
    assert tilted["elongation"] > 10


def test_specks_and_empty_masks_give_no_region() -> None:
    mask = np.zeros((30, 30), bool)
    mask[5, 5] = True
    assert list(measure_regions([("a", mask), ("b", np.zeros((30, 30), bool))])) == []


def test_coverage_is_the_share_of_each_cell() -> None:
    mask = np.zeros((64, 128), bool)
    mask[:32, :64] = True
    found = coverage([("a", mask)], cells=4)
    assert found[:2, :2].tolist() == [[1, 1], [1, 1]]
    assert found.sum() == 4


def test_boxes_and_polygons_become_masks() -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {
            "label": ["a", "b", "c"],
            "kind": ["box", "polygon", "area"],
            "shape": [[2, 3, 4, 5], [[0, 0, 9, 0, 9, 9]], None],
        }
    )
    found = dict(masks_of_annotations(rows, 20, 20))
    assert set(found) == {"a", "b"}
    assert found["a"][3:8, 2:6].all() and not found["a"][10:].any()
    assert found["b"].sum() == 36  # as pycocotools draws it
