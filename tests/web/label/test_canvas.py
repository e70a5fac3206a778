"""What the canvas and the server tell each other: exact, and not believed unseen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from defectvision.web.label import canvas
from defectvision.web.label.messages import (
    Drawable,
    MessageError,
    decode_mask,
    encode_masks,
    read_counts,
    read_told,
)

CLASSES = (
    Drawable("good", "Good", "#00ff00", "1", good=True),
    Drawable("pit", "Pit", "#ff0000", "2"),
    Drawable("dent", "Dent", "#0000ff", "3"),
)
SIZE = (4, 6)
MESSAGE = {
    "opening": "a", "number": 1, "names": ["pit"], "masks": {"pit": [3, 5, 16]}, "step": "next",
    "strokes": 2,
}  # fmt: skip


def told(several: bool = True, drawable: bool = True, **other):
    return read_told({**MESSAGE, **other}, SIZE, CLASSES, several, drawable)


@settings(max_examples=60, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_a_mask_comes_back_to_the_pixel(mask):
    encoded = encode_masks({"pit": mask}, mask.shape, CLASSES)
    if not mask.any():
        assert encoded == {}
        return
    back = decode_mask(read_counts(encoded["pit"], mask.shape), mask.shape)
    assert back.dtype == bool and np.array_equal(back, mask)


def test_lengths_go_down_the_columns():
    mask = decode_mask(read_counts([3, 5, 16], SIZE), SIZE)
    assert np.argwhere(mask).tolist() == [[0, 1], [1, 1], [2, 1], [3, 0], [3, 1]]


def test_what_was_drawn_is_read():
    read = told(names=["dent", "pit"])
    assert (read.opening, read.number, read.step, read.strokes) == ("a", 1, "next", 2)
    assert read.names == ("pit", "dent")  # in the line's order
    assert read.masks["pit"].tolist() == [3, 5, 16]
    assert told(masks={"pit": [24]}).masks["pit"].tolist() == [24]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 24), max_size=6))
def test_lengths_are_read_where_they_add_up_alone(counts):
    if counts and min(counts) >= 0 and sum(counts) == 24:
        mask = decode_mask(read_counts(counts, SIZE), SIZE)
        assert mask.sum() == sum(counts[1::2]) and mask.shape == SIZE
    else:
        with pytest.raises(MessageError):
            read_counts(counts, SIZE)


WRONG = {
    "too few px": {"masks": {"pit": [3, 5]}},
    "too many px": {"masks": {"pit": [3, 5, 17]}},
    "a negative run": {"masks": {"pit": [30, -6]}},
    "a number past any": {"masks": {"pit": [1 << 70, 24 - (1 << 70)]}},
    "broken numbers": {"masks": {"pit": [23.5, 0.5]}},
    "truths": {"masks": {"pit": [23, True]}},
    "text": {"masks": {"pit": "24"}},
    "lists in lists": {"masks": {"pit": [[24]]}},
    "nothing": {"masks": {"pit": []}},
    "too many runs": {"masks": {"pit": [0] * 4_000_001}},
    "an unknown class": {"masks": {"rust": [24]}},
    "a mask of what is good": {"masks": {"good": [0, 24]}},
    "masks as a list": {"masks": [["pit", [24]]]},
    "an unknown label": {"names": ["rust"]},
    "a label that is none": {"names": [["pit"]]},
    "one label twice": {"names": ["pit", "pit"]},
    "good and not good": {"names": ["good", "pit"]},
    "labels as a text": {"names": "pit"},
    "an unknown step": {"step": "delete"},
    "strokes below none": {"strokes": -1},
    "a number that is a truth": {"number": True},
    "no opening": {"opening": None},
}


@pytest.mark.parametrize("other", WRONG.values(), ids=WRONG.keys())
def test_what_nobody_can_have_drawn_is_refused(other):
    with pytest.raises(MessageError):
        told(**other)


def test_one_label_and_no_masks_where_the_line_has_it_so():
    assert told(several=False).names == ("pit",)
    with pytest.raises(MessageError, match="exclude"):
        told(several=False, names=["pit", "dent"])
    with pytest.raises(MessageError, match="none is to be drawn"):
        told(drawable=False)
    assert told(drawable=False, masks={}).masks == {}


@pytest.mark.parametrize("name, shape", [("rust", SIZE), ("good", SIZE), ("pit", (6, 4))])
def test_a_mask_that_does_not_fit_is_not_sent(name, shape):
    with pytest.raises(ValueError, match=name):
        encode_masks({name: np.ones(shape, bool)}, SIZE, CLASSES)


def opening(name, said, **kept):
    """An open image that puts what is told of it into `said`."""
    return canvas._Opening(name, "", SIZE, CLASSES, True, True, {}, said.append, kept, name=name)


@pytest.fixture
def tell(monkeypatch):
    """Has the server hear a message of the browser about these openings."""

    def told_to(openings, **other):
        state = {"canvas": {"drawn": {**MESSAGE, **other}}}
        monkeypatch.setattr(canvas.st, "session_state", state)
        canvas._hear("canvas", openings)

    return told_to


def test_a_late_message_goes_to_the_image_it_is_about(tell):
    before, now = [], []
    openings = [opening("a", before, dent=np.array([0, 24])), opening("b", now)]
    tell(openings, names=["pit", "dent"], step="")
    assert now == [] and before[0].digest == "a" and before[0].names == ("pit", "dent")
    assert {name: int(mask.sum()) for name, mask in before[0].masks.items()} == {
        "pit": 5,
        "dent": 24,
    }
    tell(openings, names=["pit"], masks={"dent": [24]}, number=2)
    assert list(before[1].masks) == ["pit"] and before[1].step == "next"


def test_a_message_that_was_overtaken_says_nothing(tell):
    said = []
    openings = [opening("a", said)]
    tell(openings, number=3)
    tell(openings, number=3, masks={"pit": [24]})
    tell(openings, number=2, masks={"pit": [24]})
    assert len(said) == 1 and openings[0].number == 3


def test_what_could_not_be_kept_is_not_confirmed(tell):
    def full(drawn):
        raise OSError("no space left")

    openings = [opening("a", [])]
    openings[0].on_change = full
    with pytest.raises(OSError, match="no space"):
        tell(openings)
    assert openings[0].number == 0 and openings[0].masks == {}


@pytest.mark.parametrize("other", [{"opening": "z"}, {"opening": 7}, {"masks": {"pit": [1]}}])
def test_a_refused_message_is_logged_and_changes_nothing(tell, caplog, other):
    said = []
    openings = [opening("a", said)]
    tell(openings, **other)
    assert said == [] and openings[0].number == 0
    assert "a drawing was refused" in caplog.text
    assert openings[0].refused is ("masks" in other)
