"""Plotly figures of a set's classes: data frames in, figure out.

Each figure has a title that says what it shows and axes with units. Each mark carries a selection
(`selection.token`) as text in its customdata, so that a click on it opens its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from defectvision.report.dataset.selection import token
from defectvision.report.dataset.style import ACCENT, COLOURS, GOOD_COLOUR, SCALE, finished
from defectvision.report.looks import whole_numbers


def class_balance_chart(balance: pd.DataFrame, hue: Mapping[str, str]) -> go.Figure:
    """Images per class, the largest first; `balance` from `statistics.class_balance`, `hue` a
    colour per class."""
    rows = balance.iloc[::-1]
    figure = go.Figure(
        go.Bar(
            x=rows["images"],
            y=[escape(name) for name in rows["label"]],
            orientation="h",
            marker_color=[hue[name] for name in rows["label"]],
            text=[f"{n:,}  ({s:.1%})" for n, s in zip(rows["images"], rows["share"], strict=True)],
            textposition="outside",
            cliponaxis=False,
            customdata=[[token(label=name)] for name in rows["label"]],
            hovertemplate="%{y}: %{x:,} images<extra></extra>",
        )
    )
    finished(figure, "Images per class", "images", "", 110 + 34 * len(rows))
    most = float(rows["images"].max()) * 1.45
    figure.update_xaxes(range=[0, most], **whole_numbers(most))
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def regions_chart(balance: pd.DataFrame, hue: Mapping[str, str]) -> go.Figure:
    """Defect regions per class and their number per image of the class."""
    rows = balance[balance["regions"].fillna(0) > 0].iloc[::-1]
    figure = go.Figure(
        go.Bar(
            x=rows["regions"],
            y=[escape(name) for name in rows["label"]],
            orientation="h",
            marker_color=[hue[name] for name in rows["label"]],
            text=[
                f"{r:,.0f}  ({r / max(1, n):.1f} per image)"
                for r, n in zip(rows["regions"], rows["images"], strict=True)
            ],
            textposition="outside",
            cliponaxis=False,
            customdata=[[token(label=name)] for name in rows["label"]],
            hovertemplate="%{y}: %{x:,} regions<extra></extra>",
        )
    )
    finished(figure, "Defect regions per class", "regions", "", 110 + 34 * max(1, len(rows)))
    most = float(rows["regions"].max() if len(rows) else 1) * 1.6
    figure.update_xaxes(range=[0, most], **whole_numbers(most))
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def split_chart(by_split: pd.DataFrame, hue: Mapping[str, str]) -> go.Figure:
    """Share of each class in each split; `by_split` from `statistics.balance_by_split`."""
    totals = by_split.groupby("split")["images"].sum()
    figure = go.Figure()
    for label in sorted(by_split["label"].unique()):
        rows = by_split[by_split["label"] == label]
        figure.add_bar(
            x=rows["split"],
            y=[100 * n / totals[s] for n, s in zip(rows["images"], rows["split"], strict=True)],
            name=escape(label),
            marker_color=hue[label],
            customdata=[
                [token(label=label, split="" if s == "(none)" else s), int(n)]
                for n, s in zip(rows["images"], rows["split"], strict=True)
            ],
            hovertemplate="%{fullData.name} in %{x}: %{customdata[1]:,} images<extra></extra>",
        )
    figure.update_layout(barmode="group")
    return finished(figure, "Share of each class in each split", "split", "share of the split, %")


def defects_per_image_chart(counts: pd.DataFrame) -> go.Figure:
    """Images by number of different defect classes; from `statistics.defects_per_image`."""
    figure = go.Figure(
        go.Bar(
            x=[str(n) for n in counts["classes"]],
            y=counts["images"],
            marker_color=[GOOD_COLOUR if n == 0 else ACCENT for n in counts["classes"]],
            text=[f"{n:,}" for n in counts["images"]],
            textposition="outside",
            cliponaxis=False,
            customdata=[[token(classes=int(n))] for n in counts["classes"]],
            hovertemplate="%{x} defect classes: %{y:,} images<extra></extra>",
        )
    )
    finished(figure, "Defect classes in one image", "different defect classes", "images")
    figure.update_xaxes(type="category")
    most = float(counts["images"].max()) * 1.15
    figure.update_yaxes(range=[0, most], **whole_numbers(most))
    return figure


def co_occurrence_chart(matrix: pd.DataFrame) -> go.Figure:
    """Images that show two classes; colour is the share of the row's class."""
    names = [escape(str(name)) for name in matrix.index]
    counts = matrix.to_numpy()
    own = np.maximum(np.diag(counts), 1)
    figure = go.Figure(
        go.Heatmap(
            z=counts / own[:, None],
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            colorscale=SCALE,
            showscale=False,
            text=[[f"{n:,}" for n in row] for row in counts],
            texttemplate="%{text}",
            hoverinfo="skip",
            xgap=2,
            ygap=2,
        )
    )
    # Heatmap cells cannot be selected: invisible points on them can.
    cells = [(i, j) for i in range(len(names)) for j in range(len(names))]
    figure.add_scatter(
        x=[names[j] for _, j in cells],
        y=[names[i] for i, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 36, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        showlegend=False,
        customdata=[
            [token(all_of=[matrix.index[i], matrix.index[j]]), int(counts[i, j]),
             100 * counts[i, j] / own[i]]
            for i, j in cells
        ],
        hovertemplate="%{y} with %{x}: %{customdata[1]:,} images "
        "(%{customdata[2]:.1f} % of %{y})<extra></extra>",
    )  # fmt: skip
    finished(figure, "Classes that come together", "class", "class", 150 + 42 * len(names))
    figure.update_xaxes(type="category", side="bottom")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def weights_chart(weights: pd.DataFrame) -> go.Figure:
    """Class weights of both methods; `weights` from `statistics.class_weights` of
    `statistics.trained_balance`."""
    figure = go.Figure()
    shown = (
        ("inverse", "inverse frequency", ACCENT),
        ("effective", "effective number", COLOURS[1]),
    )
    for column, name, colour in shown:
        figure.add_bar(
            x=[escape(label) for label in weights["label"]],
            y=weights[column],
            name=name,
            marker_color=colour,
            customdata=[[token(any_of=labels)] for labels in weights["shown_as"]],
            hovertemplate="%{x}: %{y:.3g}<extra></extra>",
        )
    figure.update_layout(barmode="group")
    finished(figure, "Class weights for training", "class", "weight (mean 1 over the images)")
    figure.update_xaxes(type="category")
    return figure
