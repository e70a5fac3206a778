"""The sentence below a chart says what the figures are, in the right number."""

from pathlib import Path

import pandas as pd
import pytest

from defectvision.audit.near_duplicates import IDENTICAL, Group
from defectvision.audit.study import Study
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
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


def test_regions_are_compared_where_there_are_classes_to_compare() -> None:
    regions = pd.DataFrame({"label": ["a", "a", "b"], "image": [0, 0, 1]})
    assert "a comes in 2.0 regions per image, b in 1.0: a rule" in words.of_regions(regions)
    assert words.of_regions(regions[:2]) == "a comes in 2.0 regions per image."


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


def named_groups(*groups: str, labels: tuple[str, ...]) -> Study:
    """A study whose set names its photo groups; the first two images are the same file."""
    table = {"path": [f"{i}.png" for i in range(len(labels))], "label": list(labels)}
    one = Catalog(Path("/data"), catalog_table({**table, "photo_group": list(groups)}), "parts")
    pairs = pd.DataFrame({"one": [0], "other": [1], "kind": [IDENTICAL]})
    same = [Group((0, 1), IDENTICAL)]
    return Study(ImageSet(one), pd.DataFrame(), pd.DataFrame(), groups=same, pairs=pairs)


def test_all_counts_of_scenes_are_one_figure() -> None:
    """The set's own groups count beside the near-copies, in the sentence as in the tile."""
    known = named_groups("", "", "a", "a", "", labels=("x",) * 5)
    assert words.independent_scenes(known) == 3
    assert "3 independent scenes" in words.of_groups(known)


@pytest.mark.parametrize(
    ("labels", "said", "unsaid"),
    [
        (("x", "y", "x", "x", "x"), "has two labels: one of the two is wrong", "rightly differ"),
        (("x", "x", "x", "y", "x"), "may rightly differ", "wrong"),
        (("x", "y", "x", "y", "x"), "In 1 of them one and the same picture", "nothing"),
    ],
)
def test_only_one_picture_with_two_labels_is_called_wrong(
    labels: tuple[str, ...], said: str, unsaid: str
) -> None:
    """Two sides of one part may show different defects."""
    text = words.of_contradictions(named_groups("", "", "a", "a", "", labels=labels))
    assert said in text and unsaid not in text
