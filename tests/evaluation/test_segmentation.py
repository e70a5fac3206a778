"""Figures of masks against counts made by hand."""

import numpy as np
import pytest

from defectvision.evaluation.metrics import resample
from defectvision.evaluation.segmentation import PixelCounts, measure_masks


def masks(*rows):
    """(K, 1, W) bool from strings: one class a string, # is a pixel of it."""
    return np.array([[[c == "#" for c in row]] for row in rows])


# Two classes, ten pixels. Class a stands in images 0, 1 and 2, class b in image 1.
TRUTH = [
    masks("####......", ".........."),
    masks("##........", ".....#####"),
    masks("#.........", ".........."),
    masks("..........", ".........."),
]
PREDICTED = [
    masks("..##......", ".........."),  # half of a, nothing wrong
    masks("####......", ".....#####"),  # a twice too large, b right
    masks("..........", "#........."),  # a missed, b where there is none
    masks("..........", ".........."),
]
COUNTS = PixelCounts.join(PixelCounts.of(p, t) for p, t in zip(PREDICTED, TRUTH, strict=True))
DICE_A = (2 * 2 / 6, 2 * 2 / 6, 0)


def test_counted_pixels():
    assert COUNTS.tp.tolist() == [[2, 0], [2, 5], [0, 0], [0, 0]]
    assert COUNTS.fp.tolist() == [[0, 0], [2, 0], [0, 1], [0, 0]]
    assert COUNTS.fn.tolist() == [[2, 0], [0, 0], [1, 0], [0, 0]]
    assert COUNTS.tn.tolist() == [[6, 10], [6, 5], [9, 9], [10, 10]]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("iou/a", (2 + 2) / (4 + 4 + 1)),  # pooled over images 0, 1 and 2
        ("iou/b", 1.0),  # the false alarm of image 2 is no image that holds b
        ("mean_iou", (4 / 9 + 1) / 2),
        ("dice/a", sum(DICE_A) / 3),
        ("dice/b", 1.0),
        ("detection/a", 2 / 3),
        ("detection/b", 1.0),
        ("false_alarm/a", 0.0),
        ("false_alarm/b", 1 / 3),
        # pairs of a: 2/3, 2/3, 0, 1; pairs of b: 1, 1, 0, 1
        ("mean_dice", (sum(DICE_A) + 1 + 3) / 8),
        ("mean_dice_empty", (1 + 3) / 8),
        # wrong pixels: 2, 2, and in image 2 one that misses a and claims b
        ("pixel_accuracy", (40 - 5) / 40),
    ],
)
def test_known_answers(name, wanted):
    found = measure_masks(COUNTS, ["a", "b"], ["1", "2", "3", "4"])[name]
    assert found.value == pytest.approx(wanted, abs=1e-5)
    assert found.low <= found.value <= found.high


def test_an_empty_answer_gets_mean_dice_empty():
    nothing = [np.zeros_like(t) for t in TRUTH]
    counts = PixelCounts.join(PixelCounts.of(p, t) for p, t in zip(nothing, TRUTH, strict=True))
    found = measure_masks(counts, ["a", "b"], list("1234"))
    assert found["mean_dice"].value == found["mean_dice_empty"].value == 0.5
    assert found["detection/a"].value == found["false_alarm/b"].value == 0


def test_a_class_that_no_image_shows_has_no_iou_but_false_alarms():
    counts = PixelCounts.of(masks("#..."), masks("...."))
    found = measure_masks(counts, ["a"], ["g"])
    for name in ("iou/a", "mean_iou", "dice/a", "detection/a"):
        assert found[name] is None
    for name in ("mean_dice", "mean_dice_empty", "pixel_accuracy"):  # finding nothing is perfect
        assert found[name] is None
    assert found["false_alarm/a"].value == 1


def test_a_class_that_is_never_drawn_is_no_more_certain_than_its_parts_are_many():
    nothing = [np.zeros_like(t) for t in TRUTH]
    counts = PixelCounts.join(PixelCounts.of(p, t) for p, t in zip(nothing, TRUTH, strict=True))
    found = measure_masks(counts, ["a", "b"], list("1134"))  # a: two parts, b: one
    for name, parts in (("iou/a", 2), ("detection/a", 2), ("false_alarm/b", 3), ("mean_iou", 1)):
        assert (found[name].value, found[name].low) == (0, 0)
        assert found[name].high == pytest.approx(1 - 0.025 ** (1 / parts), abs=1e-4), name


def test_one_part_alone_tells_next_to_nothing():
    found = measure_masks(PixelCounts.of(masks("##.."), masks("####")), ["a"], ["g"])["iou/a"]
    assert found.value == 0.5 and found.low < 0.02 and found.high > 0.98


def test_pixels_that_do_not_count_are_left_out():
    counted = np.array([[True, True, False, False]])
    found = PixelCounts.of(masks("#.#."), masks("##.#"), counted)
    assert (found.tp.item(), found.fp.item(), found.fn.item(), found.tn.item()) == (1, 0, 1, 0)
    assert found.right.tolist() == [0.5]


def test_images_of_one_photograph_are_drawn_together():
    """Ten copies of two photographs, one answered and one not, are two witnesses, not twenty."""
    right, wrong = masks("##.."), masks("....")
    counts = PixelCounts.join(PixelCounts.of(p, masks("##..")) for p in [right] * 10 + [wrong] * 10)
    few = measure_masks(counts, ["a"], ["x"] * 10 + ["y"] * 10)["dice/a"]
    many = measure_masks(counts, ["a"], [str(i) for i in range(20)])["dice/a"]
    assert (few.low, few.value, few.high) == (0, 0.5, 1)
    assert 0.2 < many.low < 0.35 and 0.65 < many.high < 0.8


def test_resampling_leaves_out_draws_without_an_answer():
    """A metric that some draws cannot give still has an interval, of those that can."""
    shown = np.array([1.0, 0.0])

    def first(weights):
        return 7.0 if (weights * shown).sum() else np.nan

    found = resample({"first": first, "never": lambda w: np.nan}, ["x", "y"])
    assert (found["first"].low, found["first"].high) == (7, 7)
    assert found["never"] is None


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [(np.zeros((1, 4, 4)), np.zeros((1, 4, 5))), (np.zeros((4, 4)), np.zeros((4, 4)))],
)
def test_masks_of_different_sizes_are_refused(predicted, truth):
    with pytest.raises(ValueError, match="classes, height, width"):
        PixelCounts.of(predicted, truth)


def test_counts_must_fit_the_names():
    with pytest.raises(ValueError, match="1 class names"):
        measure_masks(COUNTS, ["a"], list("1234"))
