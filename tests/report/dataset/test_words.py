"""The sentence below a chart says what the figures are, in the right number."""

import pandas as pd
import pytest

from defectvision.report.dataset import words
from tests.report.dataset.studies import study


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (
            ("a",) * 40 + ("b",) * 2,
            ["20.0 images of a for one of b", "right in 95.2%", "2 images of b are"],
        ),
        (("a", "a", "b"), ["1 image of b is too few"]),
        (("", "", "3"), ["of good for one of class 3"]),
        (("a", "a"), ["One class only"]),
    ],
)
def test_balance(labels: tuple[str, ...], said: list[str]) -> None:
    text = words.of_balance(study(labels, None, groups=()))
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("ok", "a|b"), "1 shows several classes at once: train with one output per class"),
        (("ok", "a", "b"), "1 good and 2 defective images. Every image has one class at most"),
        (("a", "b"), "Without a good image a model can name defects but not accept a part"),
        (("clean", "a"), "1 good and 1 defective image. "),
    ],
)
def test_several_classes(labels: tuple[str, ...], said: str) -> None:
    assert said in words.of_multiple(study(labels, None, groups=()))


@pytest.mark.parametrize(
    ("splits", "groups", "said"),
    [
        (("train", "test"), ((0, 1),), "1 group stands in several splits (1 image of test shows"),
        (("train", "train", "test", "test"), ((0, 2), (1, 3)), "2 groups stand in several"),
        (("train", "train", "test"), ((0, 1),), "No group stands on both sides"),
        (("", ""), ((0, 1),), "The set has no split"),
    ],
)
def test_leaks(splits: tuple[str, ...], groups: tuple[tuple[int, ...], ...], said: str) -> None:
    assert said in words.of_leaks(study(("a",) * len(splits), splits, groups))


def test_near_copies_count_scenes() -> None:
    assert "2 of 6 images are in 1 group" in words.of_groups(study())
    assert "5 independent scenes" in words.of_groups(study())
    assert "No near-copies" in words.of_groups(study(groups=()))


def test_pairs_of_classes() -> None:
    names = ["a", "b", "c"]
    matrix = pd.DataFrame([[9, 1, 0], [1, 4, 0], [0, 0, 5]], index=names, columns=names)
    text = words.of_co_occurrence(matrix)
    assert "1 image, 25.0% of all images of b" in text
    alone = pd.DataFrame([[9, 0], [0, 4]], index=names[:2], columns=names[:2])
    assert words.of_co_occurrence(alone) == "No two classes come together in one image."


@pytest.mark.parametrize(
    ("strengths", "said"),
    [(["strong", "notable"], "Strong: corners."), (["none", "notable"], "Partly: format."),
     (["none", "none"], "None of these")],
)  # fmt: skip
def test_shortcuts(strengths: list[str], said: str) -> None:
    table = pd.DataFrame({"title": ["Corners", "Format"], "strength": strengths})
    assert words.of_shortcuts(table).startswith(said)


def test_sizes_say_what_a_smaller_input_would_lose() -> None:
    parts = study()
    text = words.of_region_measure(parts.regions, "area_px", parts.pictures)
    assert "Median 65 px (rust) to 205 px (dent)" in text and "px wide" in text
    assert "most elongated" in words.of_region_measure(parts.regions, "elongation", parts.pictures)


def test_pictures_that_tell_the_classes_apart() -> None:
    table = study().pictures.assign(label=["ok", "ok", "dent", "dent", "ok", "dent"])
    assert "differ clearly" in words.of_pictures(table, "brightness")
    table["brightness"] = [100.0, 101, 100, 101, 99, 100]
    assert "no clear difference" in words.of_pictures(table, "brightness")
