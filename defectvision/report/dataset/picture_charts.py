"""Plotly figures of a set's pictures: measures, near-copies, shortcuts, and the map of all.

Marks carry selections like those of the class charts.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd
import plotly.graph_objects as go

from defectvision.report.dataset.selection import token
from defectvision.report.dataset.style import ACCENT, COLOURS, GOOD_COLOUR, WARNING, finished
from defectvision.report.looks import whole_numbers


def picture_box_chart(
    table: pd.DataFrame, column: str, title: str, unit: str, hue: Mapping[str, str]
) -> go.Figure:
    """A box per class with its outlying images as points; `table` has label, image, `column`."""
    figure = go.Figure()
    for label, rows in table.groupby("label"):
        figure.add_box(
            y=rows[column],
            name=escape(str(label)),
            marker={"color": hue[str(label)], "size": 4},
            boxpoints="outliers",
            customdata=[[token(image=int(i))] for i in rows["image"]],
            hoverinfo="y",
            showlegend=False,
        )
    return finished(figure, title, "class", unit)


def shortcut_chart(table: pd.DataFrame) -> go.Figure:
    """AUC with interval of each predictor against each class; `table` from `shortcuts`."""
    rows = table.head(12).iloc[::-1]
    several = rows["label"].nunique() > 1
    names = [
        escape(f"{t} → {label}" if several else t) + f"  <b>{auc:.2f}</b>"
        for t, label, auc in zip(rows["title"], rows["label"], rows["auc"], strict=True)
    ]
    strong = {"strong": WARNING, "notable": COLOURS[1], "none": GOOD_COLOUR}
    figure = go.Figure(
        go.Scatter(
            x=rows["auc"],
            y=names,
            mode="markers",
            marker={"size": 11, "color": [strong[s] for s in rows["strength"]]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (rows["high"] - rows["auc"]).fillna(0),
                "arrayminus": (rows["auc"] - rows["low"]).fillna(0),
                "thickness": 1.5,
                "color": GOOD_COLOUR,
            },
            customdata=[[token(label=label)] for label in rows["label"]],
            hovertemplate="%{y}: AUC %{x:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(0.75, line={"dash": "dot", "color": WARNING, "width": 1})
    finished(figure, "What gives the label away without the part", "AUC, 95 % interval", "",
            130 + 38 * len(rows))  # fmt: skip
    figure.update_xaxes(range=[0.48, 1.04], dtick=0.1)
    # Each name above its own line: beside it, a narrow page would have no room for the lines.
    figure.update_yaxes(type="category", ticklabelposition="inside top", ticklabelshift=7)
    return figure


def groups_chart(sizes: pd.Series) -> go.Figure:
    """How many near-copy groups have how many images."""
    counts = sizes.value_counts().sort_index()
    figure = go.Figure(
        go.Bar(
            x=counts.index.to_list(),
            y=counts.to_list(),
            marker_color=ACCENT,
            customdata=[[token(group_size=int(n))] for n in counts.index],
            hovertemplate="%{y} groups of %{x} images<extra></extra>",
        )
    )
    finished(figure, "Sizes of the near-copy groups", "images in the group", "groups", 280)
    if len(counts):
        figure.update_xaxes(whole_numbers(float(counts.index.max() - counts.index.min())))
        figure.update_yaxes(whole_numbers(float(counts.max())))
    return figure


def map_chart(table: pd.DataFrame, by: str, hue: Mapping[str, str]) -> go.Figure:
    """The 2-D map, coloured by the column `group`; `table` has image, x, y, group; `by` says in
    words what the groups are."""
    figure = go.Figure()
    for name, rows in table.groupby("group"):
        figure.add_scattergl(
            x=rows["x"],
            y=rows["y"],
            mode="markers",
            name=escape(str(name)),
            marker={"size": 6, "color": hue[str(name)], "opacity": 0.8},
            customdata=[[token(image=int(i))] for i in rows["image"]],
            hovertemplate="%{fullData.name}<extra></extra>",
        )
    finished(figure, f"What looks alike lies together (colour: {by})", "no unit", "no unit",
            560)  # fmt: skip
    # Its tools stand beside it: in a row they would cover the title on a narrow page.
    figure.update_layout(dragmode="lasso", modebar={"orientation": "v"}, margin={"r": 40})
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    return figure
