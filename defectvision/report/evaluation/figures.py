"""Plotly figures of an evaluation: numbers of `evaluation.charts` in, figure out.

They have no background of their own and stand on a light and a dark theme. Each mark that stands
for images carries in its customdata what they are called in the numbers.
"""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.evaluation.charts import Confusion, Curve, Reliability
from defectvision.evaluation.defect_sizes import Detection
from defectvision.report.dataset.style import ACCENT, COLOURS, SCALE, finished
from defectvision.report.looks import AXIS, LOOKS, log_counts

BAND = "rgba(59,143,196,0.2)"
GOOD, DEFECTIVE = COLOURS[0], COLOURS[1]  # apart for colour-blind eyes, unlike the verdicts
THRESHOLD = {"color": AXIS, "width": 1.5, "dash": "dash"}


def verdict_figure(table: Confusion) -> go.Figure:
    """What the parts are, and what becomes of them; customdata: [row, column] of each cell."""
    columns = [LOOKS[Verdict(name)].signed for name in table.columns]
    return _cells(table, list(table.rows), columns, "Parts by verdict", "verdict", "part")


def confusion_figure(table: Confusion, line: Line) -> go.Figure:
    """True classes and named ones; customdata: [row, column] of each cell."""
    rows = [_title(text, line) for text in table.rows]
    columns = [_title(text, line) for text in table.columns]
    return _cells(table, rows, columns, "True class and label", "label", "true class")


def _title(text: str, line: Line) -> str:
    return escape(line.titles(label_names(text)))


def _cells(
    table: Confusion, rows: list[str], columns: list[str], title: str, x: str, y: str
) -> go.Figure:
    shares = table.counts / np.maximum(1, table.counts.sum(1, keepdims=True))
    cells = [[[row, column] for column in table.columns] for row in table.rows]
    figure = go.Figure(
        go.Heatmap(
            z=shares, x=columns, y=rows, zmin=0, zmax=1, colorscale=SCALE, showscale=False,
            text=table.counts, customdata=cells, xgap=2, ygap=2,
            hovertemplate=f"{y} %{{y}}, {x} %{{x}}: %{{text:,}} images (%{{z:.1%}})<extra></extra>",
        )
    )  # fmt: skip
    # Not the cells' own text, whose colour would follow the cell and not the theme.
    for row, counts in zip(rows, table.counts.tolist(), strict=True):
        for column, count in zip(columns, counts, strict=True):
            figure.add_annotation(x=column, y=row, text=f"{count:,}", showarrow=False)
    finished(figure, title, x, y, 130 + 44 * len(rows))
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False)
    return figure


def roc_figure(curve: Curve) -> go.Figure:
    """The share of defective parts that are caught, over that of good parts that are caught too."""
    figure = _banded(curve, "Defects found and good parts stopped", *_ROC)
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": AXIS, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    return figure


def precision_figure(curve: Curve) -> go.Figure:
    """How many of the parts that are caught are defective, over the share of defective parts that
    are caught."""
    return _banded(curve, "Precision and recall", *_PRECISION)


_ROC = ("good parts stopped", "defective parts stopped")
_PRECISION = ("recall: defective parts stopped", "precision: of what is stopped")


def _banded(curve: Curve, title: str, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.add_scatter(
        x=np.concatenate([curve.x, curve.x[::-1]]),
        y=np.concatenate([curve.high, curve.low[::-1]]),
        fill="toself", fillcolor=BAND, line={"width": 0}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    figure.add_scatter(
        x=curve.x, y=curve.y, mode="lines", line={"color": ACCENT, "width": 2}, showlegend=False,
        customdata=np.where(np.isfinite(curve.thresholds), curve.thresholds, 1.0),
        hovertemplate="threshold %{customdata:.3f}: %{x:.2%}, %{y:.2%}<extra></extra>",
    )  # fmt: skip
    finished(figure, title, x, y, 340)
    figure.update_xaxes(range=[-0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%")
    return figure


def histogram_figure(table: pd.DataFrame, policy: Policy) -> go.Figure:
    """Defect scores of good and of defective parts, with the policy's zones; a logarithmic axis, as
    the few in the middle matter. customdata: the lower end of each bin."""
    figure = go.Figure()
    for low, high, verdict in policy.bands:
        figure.add_vrect(x0=low, x1=high, fillcolor=LOOKS[verdict].hex, opacity=0.09, line_width=0)
    for name, colour in (("good", GOOD), ("defective", DEFECTIVE)):
        figure.add_bar(
            x=(table["low"] + table["high"]) / 2, y=table[name].replace(0, np.nan),
            width=(table["high"] - table["low"]) * 0.9, marker_color=colour, name=name,
            opacity=0.75, customdata=table["low"],
            hovertemplate="%{x:.2f}: %{y:,} " + name + "<extra></extra>",
        )  # fmt: skip
    for value in (policy.accept_below, policy.reject_above):
        figure.add_vline(x=value, line=THRESHOLD)
    finished(figure, "Defect scores, and the policy's zones", "defect score", "images", 320)
    figure.update_layout(barmode="overlay", bargap=0)
    figure.update_xaxes(range=[0, 1])
    figure.update_yaxes(log_counts(table[["good", "defective"]].to_numpy().max(initial=0)))
    return figure


def reliability_figure(found: Reliability) -> go.Figure:
    """How often what was said with some probability is so."""
    figure, bins = go.Figure(), found.bins
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": AXIS, "dash": "dot", "width": 1},
        hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    if len(bins):
        figure.add_scatter(
            x=bins["confidence"], y=bins["share"], mode="lines+markers", showlegend=False,
            line={"color": ACCENT, "width": 2}, customdata=bins["images"],
            error_y={
                "type": "data", "symmetric": False, "array": bins["share_high"] - bins["share"],
                "arrayminus": bins["share"] - bins["share_low"], "color": AXIS, "thickness": 1,
            },
            hovertemplate="said %{x:.1%}, was %{y:.1%} (%{customdata:,} images)<extra></extra>",
        )  # fmt: skip
    finished(figure, "Said and so", "probability of a defect that was said", "share defective", 340)
    figure.update_xaxes(range=[-0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(range=[-0.02, 1.02], tickformat=".0%")
    return figure


def class_figure(table: pd.DataFrame) -> go.Figure:
    """Recall and precision of each class with their intervals."""
    figure = go.Figure()
    titles = [escape(title) for title in table["title"]]
    for number, (name, word) in enumerate((("recall", "found"), ("precision", "right"))):
        value = 100 * table[name]
        figure.add_scatter(
            x=value, y=titles, mode="markers", name=f"{name}: {word}",
            marker={"size": 9, "color": COLOURS[number], "symbol": ("circle", "diamond")[number]},
            error_x={
                "type": "data", "symmetric": False, "array": 100 * table[f"{name}_high"] - value,
                "arrayminus": value - 100 * table[f"{name}_low"], "thickness": 1,
            },
            customdata=table["name"], hovertemplate="%{y}: %{x:.1f} % " + word + "<extra></extra>",
        )  # fmt: skip
    finished(figure, "Classes", "%", "", 170 + 36 * len(table))
    figure.update_layout(legend={"y": -0.45 if len(table) < 4 else -0.25})
    figure.update_xaxes(range=[-2, 102])
    figure.update_yaxes(type="category", autorange="reversed")
    return figure


_DETECTION = {
    "mask": ("Defects that the mask touches, by their length", "length, px"),
    "verdict": ("Defective parts that are not accepted", "length of the longest defect, px"),
}


def detection_figure(found: Detection) -> go.Figure:
    """The share of defects that is found, by their length; a90 and a90/95 as lines."""
    figure = go.Figure()
    if len(found.lengths):
        figure.add_scatter(
            x=np.concatenate([found.lengths, found.lengths[::-1]]),
            y=np.concatenate([found.high, found.low[::-1]]),
            fill="toself", fillcolor=BAND, line={"width": 0}, hoverinfo="skip", showlegend=False,
        )  # fmt: skip
        figure.add_scatter(
            x=found.lengths, y=found.curve, mode="lines", line={"color": ACCENT, "width": 2},
            showlegend=False, hovertemplate="%{x:.3g} px: %{y:.0%} found<extra></extra>",
        )  # fmt: skip
    bins = found.bins
    figure.add_scatter(
        x=np.sqrt(bins["low"] * bins["high"]), y=bins["share"], mode="markers", showlegend=False,
        marker={"color": COLOURS[1], "size": 9},
        customdata=bins[["low", "high", "found", "defects"]],
        error_y={
            "type": "data", "symmetric": False, "array": bins["share_high"] - bins["share"],
            "arrayminus": bins["share"] - bins["share_low"], "color": AXIS, "thickness": 1,
        },
        hovertemplate="%{customdata[0]:.3g} to %{customdata[1]:.3g} px: %{customdata[2]} of "
        "%{customdata[3]} found<extra></extra>",
    )  # fmt: skip
    for value, text in ((found.a90, "a90"), (found.a90_95, "a90/95")):
        if value is not None:
            figure.add_vline(x=value, line=THRESHOLD, annotation_text=text)
    finished(figure, *_DETECTION[found.by], "share found", 340)
    figure.update_xaxes(type="log")
    figure.update_yaxes(range=[-0.02, 1.05], tickformat=".0%")
    return figure
