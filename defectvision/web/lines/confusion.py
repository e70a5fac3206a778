"""Which classes a bundle takes for which, as a chart fit for the light and the dark theme."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go


def confusion_chart(confusion: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Counts of (true class, label); colour is the share of the true class."""
    import plotly.graph_objects as go

    names = list(confusion)
    counts = [[confusion[true].get(label, 0) for label in names] for true in names]
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[*map(escape, names)],  # Plotly reads tags
            y=[*map(escape, names)],
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(28,100,137,0.03)"], [1, "rgba(28,100,137,0.9)"]],
            showscale=False,
            text=counts,
            texttemplate="%{text}",
            hovertemplate="true %{y}, label %{x}: %{text} (%{z:.1%} of true)<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_layout(
        height=90 + 44 * len(names),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        xaxis={"title": "label", "side": "top", "fixedrange": True, "showgrid": False},
        yaxis={
            "title": "true class",
            "autorange": "reversed",
            "fixedrange": True,
            "showgrid": False,
        },
    )
    return figure
