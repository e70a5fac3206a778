"""Whatever stands for a mask, it is the mask that it says or refused in words; both run lengths."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from defectvision.data.catalog import CatalogError
from defectvision.data.rle.coco import compress, expand, mask_counts, read_segmentation
from defectvision.data.rle.severstal import decode_rle, encode_rle

SIDE = st.integers(0, 12)
NUMBER = st.integers(-3, 200) | st.sampled_from([2**31, 2**62, 2**63 - 1, 2**63, -(2**63), 10**30])
WORD = NUMBER.map(str) | st.sampled_from(
    ["1.5", "nan", "1e3", "0x2", "²", "\u0661", "-", "1_0", "9" * 5000]
)
JUNK = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.lists(NUMBER, max_size=3)


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    height, width = draw(SIDE), draw(SIDE)
    return np.array(draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width)),
                    bool).reshape(height, width)  # fmt: skip


@given(masks())
def test_a_mask_comes_back_from_both(mask: np.ndarray) -> None:
    assert (decode_rle(encode_rle(mask), *mask.shape) == mask).all()
    counts = mask_counts(mask)
    assert expand(compress(counts)) == counts
    if mask.size:
        text, area = read_segmentation({"size": mask.shape, "counts": compress(counts)}, None, "x")
        assert (decode_rle(text, *mask.shape) == mask).all()
        assert area == mask.sum()


@example(f"{2**63 - 1} {2**63 - 1}", 3, 4)
@example(f"{2**63 - 2} 5", 3, 4)
@given(st.lists(WORD, max_size=8).map(" ".join) | st.text(max_size=40), SIDE, SIDE)
def test_runs_are_what_they_say_or_refused(text: str, height: int, width: int) -> None:
    try:
        mask = decode_rle(text, height, width, "row 3")
    except CatalogError as error:
        assert str(error).startswith("row 3: ")
        return
    assert mask.shape == (height, width)
    assert mask.sum() == sum(int(x) for x in text.split()[1::2])


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "size": st.lists(NUMBER | st.floats(), max_size=3) | st.tuples(SIDE, SIDE) | JUNK,
            "counts": st.lists(NUMBER | st.floats(), max_size=6)
            | st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30)
            | JUNK,
        },
    ),
    st.none() | st.tuples(SIDE, SIDE),
)
def test_lengths_are_what_they_say_or_refused(content: dict, size: tuple | None) -> None:
    try:
        text, area = read_segmentation(content, size, "annotation 3")
    except CatalogError as error:
        assert str(error).startswith("annotation 3: ")
        return
    height, width = (int(side) for side in content["size"])
    assert min(height, width) >= 0
    if height * width < 10_000:
        assert decode_rle(text, height, width).sum() == area


@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_any_lengths_come_back(counts: list[int]) -> None:
    assert expand(compress(counts)) == counts
