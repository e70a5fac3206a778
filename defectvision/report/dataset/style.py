"""How the charts of a labelled set look: class colours, titles, axes, room.

Colours are readable on the light and the dark theme; class colours follow the order of the
classes, so that a class has the same one in each chart and on the pictures.
"""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go

from defectvision.data.catalog import Catalog
from defectvision.data.statistics import GOOD, primary_label

COLOURS = (
    "#3b8fc4", "#e0762f", "#5bb8c9", "#c06a9f", "#c29a1c", "#7b83d6", "#9b7653",
)  # fmt: skip
GOOD_COLOUR = "#7f8a94"
ACCENT = COLOURS[0]
WARNING = "#d0533f"
SCALE = [[0, "rgba(59,143,196,0.06)"], [1, "rgba(59,143,196,0.95)"]]
GRID = "rgba(128,128,128,0.22)"


def class_colours(catalog: Catalog, others: Iterable[str] = ()) -> dict[str, str]:
    """A colour per class by its place in the sorted classes of the set, then per `a + b` of an
    image with several and per each of `others`; images without a label are grey."""
    more = {*primary_label(catalog), *others} - set(catalog.classes)
    return colours([*catalog.classes, *sorted(more)])


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour per name by its place; good images are grey."""
    named = [name for name in names if name != GOOD]
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(named)} | {GOOD: GOOD_COLOUR}


def finished(figure: go.Figure, title: str, x: str, y: str, height: int = 320) -> go.Figure:
    """`figure` with its title, the titles of its axes and its height in px."""
    figure.update_layout(
        title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 15}},
        height=height,
        margin={"l": 8, "r": 12, "t": 42, "b": 8},
        legend={"orientation": "h", "y": -0.2, "x": 0, "title": None},
        bargap=0.25,
        clickmode="event+select",
        dragmode=False,
    )
    figure.update_xaxes(title=x, gridcolor=GRID, automargin=True)
    figure.update_yaxes(title=y, gridcolor=GRID, automargin=True)
    return figure
