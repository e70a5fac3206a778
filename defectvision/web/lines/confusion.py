"""Which classes a bundle takes for which, as a chart fit for the light and the dark theme."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

DEEP = 0.5  # share from which on a cell is so deep that white is read on it


def confusion_chart(confusion: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Counts of (true class, label); colour is the share of the true class.

    The counts are annotations, whose colour is the theme's, as Plotly would choose one against a
    pale cell as if the page were white.
    """
    import plotly.graph_objects as go

    names = list(confusion)
    shown = [*map(escape, names)]  # Plotly reads tags
    counts = [[confusion[true].get(label, 0) for label in names] for true in names]
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=shown,
            y=shown,
            zmin=0,
            zmax=1,
            colorscale=[[0, "rgba(28,100,137,0.03)"], [1, "rgba(28,100,137,0.9)"]],
            showscale=False,
            text=counts,
            hovertemplate="true %{y}, label %{x}: %{text} (%{z:.1%} of true)<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_layout(
        height=90 + 44 * len(names),
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        annotations=[
            {
                "x": label,
                "y": true,
                "text": f"{count:,}",
                "showarrow": False,
                "font": {"color": "white"} if share > DEEP else {},
            }
            for true, row, of_row in zip(shown, counts, shares, strict=True)
            for label, count, share in zip(shown, row, of_row, strict=True)
        ],
        xaxis={
            "title": "label",
            "type": "category",
            "side": "top",
            "fixedrange": True,
            "showgrid": False,
        },
        yaxis={
            "title": "true class",
            "type": "category",
            "autorange": "reversed",
            "fixedrange": True,
            "showgrid": False,
        },
    )
    return figure
