"""Plotly figures of a labelled set: data frames in, figure out.

Each figure has a title that says what it shows and axes with units. Each mark carries a selection
(`dataset_selection`) as text in its customdata, so that a click on it opens its images. Colours are
readable on the light and the dark theme; class colours follow the order of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from defectvision.report.dataset.selection import token

COLOURS = (
    "#3b8fc4", "#e0762f", "#2a9d78", "#c06a9f", "#c29a1c", "#7b83d6", "#9b7653", "#7f8a94",
)  # fmt: skip
GOOD_COLOUR = "#7f8a94"
ACCENT = COLOURS[0]
WARNING = "#d0533f"
SCALE = [[0, "rgba(59,143,196,0.06)"], [1, "rgba(59,143,196,0.95)"]]
GRID = "rgba(128,128,128,0.22)"


def colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour per class by its place in the sorted classes; good images are grey."""
    named = sorted(name for name in labels if name != "(good)")
    found = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(named)}
    return {**found, "(good)": GOOD_COLOUR}


def _finish(figure: go.Figure, title: str, x: str, y: str, height: int = 320) -> go.Figure:
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


def class_balance_chart(balance: pd.DataFrame) -> go.Figure:
    """Images per class, the largest first; `balance` from `statistics.class_balance`."""
    rows = balance.iloc[::-1]
    hue = colours(list(balance["label"]))
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
    _finish(figure, "Images per class", "images", "", 110 + 34 * len(rows))
    figure.update_xaxes(range=[0, float(rows["images"].max()) * 1.45])
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def regions_chart(balance: pd.DataFrame) -> go.Figure:
    """Defect regions per class and their number per image of the class."""
    rows = balance[balance["regions"].fillna(0) > 0].iloc[::-1]
    hue = colours(list(balance["label"]))
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
    _finish(figure, "Defect regions per class", "regions", "", 110 + 34 * max(1, len(rows)))
    figure.update_xaxes(range=[0, float(rows["regions"].max() if len(rows) else 1) * 1.6])
    figure.update_yaxes(type="category", showgrid=False)
    return figure


def split_chart(by_split: pd.DataFrame) -> go.Figure:
    """Share of each class in each split; `by_split` from `statistics.balance_by_split`."""
    hue = colours(list(by_split["label"].unique()))
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
    return _finish(figure, "Share of each class in each split", "split", "share of the split, %")


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
    _finish(figure, "Defect classes in one image", "different defect classes", "images")
    figure.update_xaxes(type="category")
    figure.update_yaxes(range=[0, float(counts["images"].max()) * 1.15])
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
    _finish(figure, "Classes that come together", "class", "class", 150 + 42 * len(names))
    figure.update_xaxes(type="category", side="bottom")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def weights_chart(weights: pd.DataFrame) -> go.Figure:
    """Class weights of both methods; `weights` from `statistics.class_weights`."""
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
            customdata=[[token(label=label)] for label in weights["label"]],
            hovertemplate="%{x}: %{y:.3g}<extra></extra>",
        )
    figure.update_layout(barmode="group")
    _finish(figure, "Class weights for training", "class", "weight (mean 1 over the images)")
    figure.update_xaxes(type="category")
    return figure


def histogram_chart(
    table: pd.DataFrame, column: str, title: str, unit: str, *, log: bool = False, bins: int = 36
) -> go.Figure:
    """Stacked histogram of `table[column]` per `label`; with `log` equal steps of the logarithm.

    `table` has the columns `label` and `column`.
    """
    values = table[column].astype(float)
    table = table[np.isfinite(values) & ((values > 0) | (not log))]
    values = table[column].astype(float).to_numpy()
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if high <= low:
        low, high = (low * 0.9, low * 1.1) if log else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    hue = colours(list(table["label"].unique()))
    centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    figure = go.Figure()
    for label in sorted(table["label"].unique()):
        counts, _ = np.histogram(values[(table["label"] == label).to_numpy()], edges)
        some = counts > 0
        figure.add_bar(
            x=centres[some],
            y=counts[some],
            width=np.diff(edges)[some],
            name=escape(label),
            marker={"color": hue.get(label, ACCENT), "line": {"width": 0}},
            customdata=[
                [token(label=label, between=[column, float(a), float(b)]), float(a), float(b)]
                for a, b in zip(edges[:-1][some], edges[1:][some], strict=True)
            ],
            hovertemplate="%{fullData.name}, %{customdata[1]:.4g} to %{customdata[2]:.4g}: "
            "%{y:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    count = "regions" if column in REGION_MEASURES else "images"
    _finish(figure, title, unit, count)
    figure.update_layout(bargap=0.02)
    if log:
        figure.update_xaxes(type="log", dtick=1)
    return figure


# column: (title, axis with unit, logarithmic)
REGION_MEASURES = {
    "area_px": ("Area of defects", "area, px (logarithmic)", True),
    "length_px": ("Length of defects", "length, px (logarithmic)", True),
    "elongation": ("Elongation of defects", "length / width (logarithmic)", True),
}


def position_chart(regions: pd.DataFrame, coverage: dict[str, NDArray[np.float32]]) -> go.Figure:
    """Where defects lie: share of images defective at each place, a point per region."""
    figure = go.Figure()
    if coverage:
        total = 100 * np.mean(list(coverage.values()), axis=0)
        cells = total.shape[0]
        places = 100 * (np.arange(cells) + 0.5) / cells
        figure.add_heatmap(
            z=total, x=places, y=places, colorscale=SCALE, hoverinfo="skip",
            colorbar={"title": {"text": "% of images"}, "thickness": 10},
        )  # fmt: skip
    hue = colours(list(regions["label"].unique()))
    shown = regions.dropna(subset=["x", "y"])
    if len(shown) > 4000:
        shown = shown.sample(4000, random_state=0)
    for label, rows in shown.groupby("label"):
        figure.add_scattergl(
            x=100 * rows["x"],
            y=100 * rows["y"],
            mode="markers",
            name=escape(str(label)),
            marker={"size": 5, "color": hue[str(label)], "opacity": 0.75},
            customdata=[[token(image=int(i))] for i in rows["image"]],
            hovertemplate="%{fullData.name} at %{x:.0f} %, %{y:.0f} %<extra></extra>",
        )
    _finish(figure, "Where defects lie", "from the left, % of width", "from the top, % of height",
            420)  # fmt: skip
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(range=[100, 0])
    return figure


def picture_box_chart(table: pd.DataFrame, column: str, title: str, unit: str) -> go.Figure:
    """A box per class with its outlying images as points; `table` has label, image, `column`."""
    hue = colours(list(table["label"].unique()))
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
    return _finish(figure, title, "class", unit)


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
            },
            customdata=[[token(label=label)] for label in rows["label"]],
            hovertemplate="%{y}: AUC %{x:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    figure.add_vline(0.75, line={"dash": "dot", "color": WARNING, "width": 1})
    _finish(figure, "What gives the label away without the part", "AUC, 95 % interval", "",
            130 + 30 * len(rows))  # fmt: skip
    figure.update_xaxes(range=[0.48, 1.04])
    figure.update_yaxes(type="category")
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
    return _finish(figure, "Sizes of the near-copy groups", "images in the group", "groups", 280)


def map_chart(table: pd.DataFrame, by: str) -> go.Figure:
    """The 2-D map, coloured by `colour`; `table` has image, x, y, colour, path."""
    hue = colours(list(table["colour"].unique()))
    figure = go.Figure()
    for name, rows in table.groupby("colour"):
        figure.add_scattergl(
            x=rows["x"],
            y=rows["y"],
            mode="markers",
            name=escape(str(name)),
            marker={"size": 6, "color": hue[str(name)], "opacity": 0.8},
            customdata=[[token(image=int(i))] for i in rows["image"]],
            hovertemplate="%{fullData.name}<extra></extra>",
        )
    _finish(figure, f"Images that look alike lie together (colour: {by})", "no unit", "no unit",
            560)  # fmt: skip
    figure.update_layout(dragmode="lasso")
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False)
    return figure
