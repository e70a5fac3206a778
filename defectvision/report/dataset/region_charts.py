"""Plotly figures of a set's defect regions: how large they are and where they lie.

Marks carry selections like those of the class charts.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from defectvision.report.dataset.selection import token
from defectvision.report.dataset.style import SCALE, finished
from defectvision.report.looks import whole_numbers

# column: (title, axis with unit, logarithmic)
REGION_MEASURES = {
    "area_px": ("Area of defects", "area, px (logarithmic)", True),
    "length_px": ("Length of defects", "length, px (logarithmic)", True),
    "elongation": ("Elongation of defects", "length / width (logarithmic)", True),
}


def histogram_chart(
    table: pd.DataFrame,
    column: str,
    title: str,
    unit: str,
    hue: Mapping[str, str],
    *,
    log: bool = False,
    bins: int = 36,
) -> go.Figure:
    """Stacked histogram of `table[column]` per `label`; with `log` equal steps of the logarithm.

    `table` has the columns `label` and `column`.
    """
    values = table[column].astype(float)
    table = table[np.isfinite(values) & ((values > 0) | (not log))]
    values = table[column].astype(float).to_numpy()
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 2.0)
    if high <= low:
        low, high = (low * 0.9, low * 1.1) if log else (low - 0.5, high + 0.5)
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    figure, stacked = go.Figure(), np.zeros(bins)
    for label in sorted(table["label"].unique()):
        counts, _ = np.histogram(values[(table["label"] == label).to_numpy()], edges)
        some = counts > 0
        stacked += counts
        figure.add_bar(
            x=centres[some],
            y=counts[some],
            width=np.diff(edges)[some],
            name=escape(label),
            marker={"color": hue[label], "line": {"width": 0}},
            customdata=[
                [token(label=label, between=[column, float(a), float(b)]), float(a), float(b)]
                for a, b in zip(edges[:-1][some], edges[1:][some], strict=True)
            ],
            hovertemplate="%{fullData.name}, %{customdata[1]:.4g} to %{customdata[2]:.4g}: "
            "%{y:,}<extra></extra>",
        )
    figure.update_layout(barmode="stack", bargap=0)
    count = "regions" if column in REGION_MEASURES else "images"
    finished(figure, title, unit, count)
    figure.update_layout(bargap=0.02)
    figure.update_yaxes(whole_numbers(stacked.max(initial=0)))
    if log:
        figure.update_xaxes(type="log", dtick=1)
    return figure


def position_chart(
    regions: pd.DataFrame, coverage: Mapping[str, NDArray[np.float32]], hue: Mapping[str, str]
) -> go.Figure:
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
    finished(figure, "Where defects lie", "from the left, % of width", "from the top, % of height",
            420)  # fmt: skip
    figure.update_xaxes(range=[0, 100])
    figure.update_yaxes(range=[100, 0])
    return figure
