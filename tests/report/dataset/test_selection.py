"""A click on a mark chooses the images that the mark stands for."""

import pytest

from defectvision.audit.study import Study
from defectvision.report.dataset.selection import (
    chosen_images,
    filtered,
    in_words,
    ordered,
    orders,
    token,
    tokens_of,
)
from tests.report.dataset.studies import study


@pytest.fixture(scope="module")
def parts() -> Study:
    return study()


@pytest.mark.parametrize(
    ("filters", "images", "words"),
    [
        ({"label": "ok"}, [0, 1], "class ok"),
        ({"label": "(good)"}, [4], "class (good)"),
        ({"label": "dent"}, [2, 3], "class dent"),
        ({"label": "dent + rust"}, [3], "class dent + rust"),
        ({"any_of": ["(good)", "ok"]}, [0, 1, 4], "class (good) or ok"),
        ({"all_of": ["dent", "rust"]}, [3], "dent with rust"),
        ({"all_of": ["rust", "rust"]}, [3, 5], "rust"),
        ({"label": "ok", "split": "test"}, [1], "class ok, split test"),
        ({"split": ""}, [5], "split (none)"),
        ({"classes": 0}, [0, 1, 4], "0 defect classes"),
        ({"classes": 1}, [2, 5], "1 defect class"),
        ({"classes": 2}, [3], "2 defect classes"),
        ({"between": ["brightness", 100, 105]}, [0, 4], "brightness 100 to 105"),
        (
            {"between": ["brightness", 0, 45], "label": "dent"},
            [2],
            "class dent, brightness 0 to 45",
        ),
        # a region's label is its own: image 3 shows rust of 40 px beside its dent
        ({"between": ["area_px", 30, 100]}, [3, 5], "area px 30 to 100"),
        ({"between": ["area_px", 30, 100], "label": "dent"}, [], "class dent, area px 30 to 100"),
        ({"group_size": 2}, [0, 1], "near-copy groups of 2 images"),
        ({"image": 4}, [4], "1 point of a chart"),
    ],
)
def test_each_mark_chooses_its_images_and_says_which(
    parts: Study, filters: dict[str, object], images: list[int], words: str
) -> None:
    assert chosen_images(parts, [token(**filters)]) == images
    assert in_words([token(**filters)]) == words


def test_several_marks_choose_all_of_their_images(parts: Study) -> None:
    tokens = [token(label="rust"), token(image=0), token(image=2), token(image=99)]
    assert chosen_images(parts, tokens) == [0, 2, 3, 5]
    assert in_words(tokens) == "class rust; 3 points of a chart"
    assert in_words([token(label=str(i)) for i in range(6)]).endswith("class 3; …")


@pytest.mark.parametrize("text", ["", "{", "3", "null", '"a"', "[]"])
def test_a_text_that_is_no_filter_chooses_nothing(parts: Study, text: str) -> None:
    assert chosen_images(parts, [text]) == []
    assert chosen_images(parts, [text, token(image=1)]) == [1]
    in_words([text])


def test_marks_of_a_chart_give_their_filters_once() -> None:
    points = [
        {"customdata": ["a", 3]}, {"customdata": ["a", 4]}, {"customdata": "b"}, {"x": 1},
        {"customdata": []}, {"customdata": [7]},
    ]  # fmt: skip
    assert tokens_of(points) == ["a", "b"]


@pytest.mark.parametrize(
    ("images", "label", "split", "left"),
    [
        (None, None, None, [0, 1, 2, 3, 4, 5]),
        (None, "dent", None, [2, 3]),
        (None, None, "test", [1, 4]),
        ([5, 3, 2], "rust", None, [5, 3]),
        ([3, 2, 1], "dent", "train", [3, 2]),
        ([0], "dent", None, []),
    ],
)
def test_filters_leave_what_fits_both(
    parts: Study, images: list[int] | None, label: str | None, split: str | None, left: list[int]
) -> None:
    assert filtered(parts, images, label, split) == left


@pytest.mark.parametrize(
    ("order", "images"),
    [
        ("file", [0, 1, 2, 3, 4, 5]),
        ("darkest", [2, 5, 3, 0, 4, 1]),
        ("brightest", [1, 4, 0, 3, 5, 2]),
        ("blurred first", [5, 4, 3, 2, 1, 0]),
        # without a defect: last, as they are in the catalog
        ("largest defect", [3, 5, 2, 0, 1, 4]),
        ("smallest defect", [2, 3, 5, 0, 1, 4]),
    ],
)
def test_orders(parts: Study, order: str, images: list[int]) -> None:
    assert order in orders(parts)
    assert ordered(parts, range(6), order) == images


def test_a_set_of_labels_alone_has_no_order_by_pictures() -> None:
    assert orders(study(has_images=False)) == ["file", "largest defect", "smallest defect"]
