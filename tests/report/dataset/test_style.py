"""Colours of classes: one a class, whichever chart it stands in."""

from pathlib import Path

import plotly.graph_objects as go
import pytest

from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.statistics import GOOD
from defectvision.report.dataset.style import (
    COLOURS,
    GOOD_COLOUR,
    class_colours,
    colours,
    finished,
)


def catalog(*labels: str) -> Catalog:
    paths = [f"{i}.png" for i in range(len(labels))]
    return Catalog(Path(), catalog_table({"path": paths, "label": list(labels)}), "set")


def test_a_class_keeps_its_colour_where_others_are_missing() -> None:
    whole = class_colours(catalog("a", "b", "c", "", "b|c"))
    assert [whole[name] for name in "abc"] == list(COLOURS[:3])
    assert whole["b + c"] == COLOURS[3] and whole[GOOD] == GOOD_COLOUR
    # masks of a class that no label names
    assert class_colours(catalog("a", "b"), ["b", "defect"])["b"] == COLOURS[1]


def test_no_class_looks_like_a_good_part() -> None:
    many = colours([f"{i:02d}" for i in range(30)])
    assert GOOD_COLOUR not in {colour for name, colour in many.items() if name != GOOD}
    assert len({many[f"{i:02d}"] for i in range(len(COLOURS))}) == len(COLOURS)


@pytest.mark.parametrize("height", [280, 320])
def test_a_figure_says_what_it_shows_and_in_which_units(height: int) -> None:
    figure = finished(go.Figure(), "Sizes", "area, px", "regions", height)
    assert figure.layout.title.text == "Sizes" and figure.layout.height == height
    assert figure.layout.xaxis.title.text == "area, px"
    assert figure.layout.yaxis.title.text == "regions"
