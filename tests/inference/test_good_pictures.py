"""Where a remembered place lies on its part, and what a bundle carries of that part."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import PLACES_FILE
from defectvision.inference.good_pictures import ANGLES, GoodPictures, places_at


@pytest.mark.parametrize("angle", ANGLES)
def test_a_place_of_a_turned_part_is_found_on_the_part_as_it_was(angle: int) -> None:
    height, width, x, y = 96, 160, 100, 30
    picture = np.zeros((height, width), np.float32)
    cv2.circle(picture, (x, y), 3, 1, -1)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    grid = cv2.resize(
        cv2.warpAffine(picture, turn, (width, height)), (20, 12), interpolation=cv2.INTER_AREA
    )
    assert grid.max() > 0.1, "the dot was turned out of the picture"
    ((across, down),) = places_at(np.array([int(grid.argmax())]), (12, 20), (height, width), angle)
    assert abs(across * width - x) <= 8
    assert abs(down * height - y) <= 8


def some(number: int, first: int, carried: bool) -> GoodPictures:
    """Of three places on two of `number` pictures."""
    picture = np.array([0, number - 1, 0], np.int32)
    at = np.array([[0.25, 0.5], [0.75, 0.125], [0, 1]], np.float32)
    of = {0, number - 1} if carried else set()
    names, jpegs = ({n: f(n + first) for n in of} for f in (str, lambda n: b"x" * n + b"y"))
    return GoodPictures(picture, at, number, names, jpegs)


@pytest.mark.parametrize("carried", [True, False])
def test_what_joins_is_counted_on_and_a_file_holds_it_all(tmp_path: Path, carried: bool) -> None:
    joined = some(4, 0, carried).joined(some(2, 4, carried))
    (tmp_path / PLACES_FILE).write_bytes(joined.content())
    found = GoodPictures.of(tmp_path)
    assert found is not None
    assert found.picture.tolist() == [0, 3, 0, 4, 5, 4]
    assert found.at[1].tolist() == found.at[4].tolist() == [0.75, 0.125]
    assert found.number == 6
    assert found.names == ({0: "0", 3: "3", 4: "4", 5: "5"} if carried else {})
    assert found.jpegs == joined.jpegs


def test_a_damaged_file_is_told_and_a_missing_one_is_none(tmp_path: Path) -> None:
    assert GoodPictures.of(tmp_path) is None
    (tmp_path / PLACES_FILE).write_bytes(some(4, 0, True).content()[:300])
    with pytest.raises(BundleError, match=r"places\.npz: cannot be read"):
        GoodPictures.of(tmp_path)
