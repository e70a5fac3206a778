"""Charts of a known study: what they show, and which images a click on a mark opens."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from defectvision.report.dataset import class_charts, picture_charts, region_charts
from defectvision.report.dataset.sections import all_sections, balance_blocks, map_block
from defectvision.report.dataset.selection import chosen_images
from defectvision.report.dataset.style import COLOURS, WARNING, class_colours
from tests.report.dataset.studies import study

PARTS = study()
HUE = class_colours(PARTS.catalog)


def blocks() -> list[tuple[str, go.Figure]]:
    return [(b.key, b.figure) for _, section in all_sections(PARTS) for b in section]


def marks(figure: go.Figure) -> list[tuple[object, str]]:
    """(height or count of a bar, its filter) of all traces."""
    found = []
    for trace in figure.data:
        if trace.customdata is not None:
            values = trace.x if getattr(trace, "orientation", None) == "h" else trace.y
            found += [(v, c[0]) for v, c in zip(values, trace.customdata, strict=True)]
    return found


@pytest.mark.parametrize(
    ("key", "figure"), blocks(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_mark_opens_images_and_every_chart_is_titled(key: str, figure: go.Figure) -> None:
    assert figure.layout.title.text
    for _, text in marks(figure):
        assert isinstance(text, str)
        if key not in ("together", "weights"):
            assert chosen_images(PARTS, [text]), text


@pytest.mark.parametrize("key", ["balance", "several", "region-area_px"])
def test_a_bar_is_as_long_as_the_images_or_regions_behind_it(key: str) -> None:
    (figure,) = [figure for name, figure in blocks() if name == key]
    for value, text in marks(figure):
        assert len(chosen_images(PARTS, [text])) == value


def test_the_whole_page_has_its_sections_and_a_set_of_labels_alone_fewer() -> None:
    assert [title for title, _ in all_sections(PARTS)] == [
        "Class balance", "Defects", "Pictures", "Near-copies and leaks", "Map",
    ]  # fmt: skip
    alone = study(has_images=False, groups=())
    keys = {block.key for _, section in all_sections(alone) for block in section}
    assert "picture-brightness" not in keys and "balance" in keys


@pytest.mark.parametrize(
    ("labels", "splits", "present", "absent"),
    [
        (("a", "b"), None, {"weights"}, {"split", "together"}),
        (("a", "a"), None, set(), {"weights", "split", "together"}),
        (("a", "b|c"), ("train", "test"), {"split", "together"}, set()),
    ],
)
def test_charts_that_would_say_nothing_are_left_out(
    labels: tuple[str, ...],
    splits: tuple[str, ...] | None,
    present: set[str],
    absent: set[str],
) -> None:
    keys = {block.key for block in balance_blocks(study(labels, splits, groups=()))}
    assert present <= keys and not absent & keys


def test_a_histogram_counts_every_region_once() -> None:
    table = pd.DataFrame({"label": ["a"] * 50 + ["b"] * 3, "area_px": [*range(1, 51), 5, 5, 5]})
    hue = {"a": COLOURS[0], "b": COLOURS[1]}
    figure = region_charts.histogram_chart(table, "area_px", "Area", "px", hue, log=True)
    assert {t.name: int(sum(t.y)) for t in figure.data} == {"a": 50, "b": 3}
    assert [t.marker.color for t in figure.data] == [COLOURS[0], COLOURS[1]]
    assert figure.layout.xaxis.type == "log" and figure.layout.yaxis.title.text == "regions"


@pytest.mark.parametrize("values", [[], [5.0], [5.0, 5.0], [np.nan, 0.0]])
def test_a_histogram_of_next_to_nothing_is_drawn(values: list[float]) -> None:
    table = pd.DataFrame({"label": ["a"] * len(values), "area_px": values})
    figure = region_charts.histogram_chart(
        table, "area_px", "Area", "px", {"a": "#123456"}, log=True
    )
    assert sum(int(sum(t.y)) for t in figure.data) == sum(v > 0 for v in values)


def test_the_map_of_places_has_its_origin_in_the_upper_left() -> None:
    figure = region_charts.position_chart(PARTS.regions, PARTS.coverage, HUE)
    assert list(figure.layout.yaxis.range) == [100, 0]
    assert float(np.max(figure.data[0].z)) == 25  # % of the images


def test_a_strong_shortcut_stands_out() -> None:
    table = pd.DataFrame(
        {
            "label": ["a", "a"], "title": ["Corners", "Format"], "auc": [0.9, 0.6],
            "low": [0.8, np.nan], "high": [0.95, np.nan], "strength": ["strong", "none"],
        }
    )  # fmt: skip
    trace = picture_charts.shortcut_chart(table).data[0]
    assert list(trace.x) == [0.6, 0.9] and trace.marker.color[1] == WARNING
    assert list(trace.error_x.array) == pytest.approx([0, 0.05])


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("class", {"ok", "dent", "dent + rust", "(good)", "rust"}),
        ("split", {"train", "test", "(none)"}),
        ("near-copies", {"near-copy", "single"}),
        ("prediction", {"ok", "dent", "(none)"}),
    ],
)
def test_the_map_is_coloured_by_what_was_chosen(by: str, names: set[str]) -> None:
    figure = map_block(PARTS, by, {0: "ok", 2: "dent"}).figure
    assert {trace.name for trace in figure.data} == names
    colours = {trace.name: trace.marker.color for trace in figure.data}
    if "dent" in names:
        assert colours["dent"] == HUE["dent"]


def test_names_cannot_bring_tags_into_a_chart() -> None:
    hostile = study(("<b>x</b>", "ok"), None, groups=())
    figures = [b.figure for b in balance_blocks(hostile)]
    assert not any(
        "<b>x" in figure.to_json().replace("customdata", "") and "&lt;b&gt;" not in figure.to_json()
        for figure in figures
    )


def test_weights_are_shown_under_the_names_of_a_training() -> None:
    balance = pd.DataFrame(
        {"label": ["ok", "dent"], "inverse": [0.5, 2.0], "effective": [0.6, 1.8],
         "shown_as": [["(good)", "ok"], ["dent"]]}
    )  # fmt: skip
    figure = class_charts.weights_chart(balance)
    assert list(figure.data[0].x) == ["ok", "dent"]
    assert chosen_images(PARTS, [figure.data[0].customdata[0][0]]) == [0, 1, 4]
