"""Measures of drawn pictures whose values are known, and which pictures are called odd."""

import numpy as np
import pandas as pd
import pytest

from defectvision.audit.pictures import MEASURES, measure, outliers


def flat(height: int, width: int, level: int) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def test_a_flat_picture_has_its_level_and_nothing_else() -> None:
    found = measure(flat(100, 200, 90), b"x" * 5_000, "lot/A 1.JPEG")
    assert {name: found[name] for name in MEASURES} == {
        "width": 200, "height": 100, "aspect_ratio": 2.0, "brightness": 90.0, "contrast": 0.0,
        "sharpness": 0.0,
    }  # fmt: skip
    assert (found["format"], found["bytes_per_px"], found["colour"]) == ("jpeg", 0.25, 0.0)
    assert measure(np.zeros((20, 20, 3), np.uint8), b"x", "a")["colour"] == 1.0


def test_corners_and_border_are_measured_beside_the_part() -> None:
    image = flat(100, 100, 200)
    image[10:-10, 10:-10] = 0  # the part
    found = measure(image, b"", "a.png")
    assert found["border_brightness"] == 200  # 6 px
    assert found["corner_brightness"] == pytest.approx(200 * (144 - 4) / 144)  # 12 x 12 px


@pytest.mark.parametrize("size", [(16, 4_000), (4_000, 16), (600, 600), (16, 16)])
def test_any_shape_of_picture_can_be_measured(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    found = measure(image, b"", "a.png")
    assert (found["height"], found["width"]) == size and found["sharpness"] > 0


def table(**columns: list[float]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    usual = {"width": 100, "height": 100, "aspect_ratio": 1.0, "brightness": 100, "contrast": 20,
             "sharpness": 50}  # fmt: skip
    rows = {name: columns.get(name, [value] * count) for name, value in usual.items()}
    return pd.DataFrame({"image": range(count), "path": [f"{i}.png" for i in range(count)], **rows})


NEAR = [98.0, 99, 100, 101, 102, 100, 99, 101]


@pytest.mark.parametrize(
    ("column", "values", "odd"),
    [
        ("brightness", [*NEAR, 20.0], [8]),
        ("brightness", [*NEAR, 106.0], []),
        # a camera's constant size: rounding is not odd, another camera is
        ("width", [100.0] * 8 + [101.0], []),
        ("width", [100.0] * 8 + [640.0], [8]),
        # sharpness varies by factors: half is ordinary where it spreads, a hundredth is not
        ("sharpness", [20.0, 40, 60, 80, 100, 50, 30, 25], []),
        ("sharpness", [40.0, 45, 50, 55, 60, 50, 48, 0.5], [7]),
    ],
)
def test_odd_is_what_lies_far_from_the_usual_spread(
    column: str, values: list[float], odd: list[int]
) -> None:
    found = outliers(table(**{column: values}))
    assert found["image"].tolist() == odd
    assert set(found["measure"]) <= {column}
    assert (found["usual"] == np.median(values)).all()


def test_the_oddest_come_first_and_all_of_them() -> None:
    found = outliers(table(brightness=[*NEAR * 300, 0.0, 250.0, *[150.0] * 300]))
    assert found["value"].tolist()[:2] == [250.0, 0.0] and len(found) == 302
    assert outliers(pd.DataFrame()).empty
