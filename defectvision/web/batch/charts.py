"""Charts of a batch, each from the same counts as its tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.report.looks import AXIS, BARS, LOOKS, log_counts, whole_numbers
from defectvision.store.inspections import Summary
from defectvision.store.tables import BINS
from defectvision.web.batch.filters import show_class, show_scores

if TYPE_CHECKING:
    import plotly.graph_objects as go

MANY = 50  # in one bin: from here on a single image would be too low to see
MARGIN = {"l": 8, "r": 8, "t": 8, "b": 8}


def defect_charts(batch: int, summary: Summary, policy: Policy, line: Line) -> None:
    """Both charts, each under its title; the scores only where a line has them. A click on a bar
    sets the page's filter."""
    st.caption("Defects by class, rejected parts; a click shows one class")
    _clickable(pareto_chart(summary, line), "pareto", partial(show_class, batch))
    if line.can_accept:
        st.caption("Defect scores, with the policy's zones; a click shows one bar's images")
        figure = score_histogram(summary, policy)
        _clickable(figure, "scores", lambda low: show_scores(batch, low, low + 1 / BINS))


def _clickable(figure: go.Figure, name: str, chosen: Callable[[Any], None]) -> None:
    """A chart; `chosen` gets what belongs to the clicked mark. It is drawn anew then, so that no
    mark stays chosen beside a filter that says something else."""
    count = f"{name}-clicks"
    key = f"{name}-{st.session_state.setdefault(count, 0)}"

    def clicked() -> None:
        points = st.session_state[key]["selection"]["points"]
        if points:
            st.session_state[count] += 1
            given = points[0]["customdata"]
            chosen(given[0] if isinstance(given, list) else given)

    st.plotly_chart(
        figure,
        key=key,
        config={"displayModeBar": False},
        on_select=clicked,
        selection_mode="points",
    )


def pareto_chart(summary: Summary, line: Line) -> go.Figure:
    """Defects by class, the most frequent first, with the running share of all."""
    import plotly.graph_objects as go

    ranked = [(n, count) for n, count in summary.rejected.items() if n in line.defect_names]
    titles = [escape(line.title_of(name)) for name, _ in ranked]  # Plotly reads tags
    counts = np.array([count for _, count in ranked])
    running = counts.cumsum() / max(1, counts.sum())
    figure = go.Figure()
    figure.add_bar(
        x=titles,
        y=counts,
        marker_color=[line.colour_of(name) for name, _ in ranked],
        text=[f"{count:,}" for count in counts],
        customdata=[name for name, _ in ranked],
        hovertemplate="%{x}: %{y:,} images<extra></extra>",
        width=min(0.8, 0.2 * len(ranked)),
        name="images",
    )
    figure.add_scatter(
        x=titles,
        y=running,
        yaxis="y2",
        mode="lines+markers",
        customdata=[name for name, _ in ranked],
        line={"color": AXIS, "width": 1.5},
        hovertemplate="up to %{x}: %{y:.0%}<extra></extra>",
        name="running share",
    )
    figure.update_layout(
        height=230,
        margin=MARGIN,
        showlegend=False,
        yaxis={
            "title": "images",
            "fixedrange": True,
            "rangemode": "tozero",
            **whole_numbers(counts.max(initial=0)),
        },
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "range": [0, 1.05],
            "tickformat": ".0%",
            "showgrid": False,
            "fixedrange": True,
            "dtick": 0.25,
        },
        xaxis={"fixedrange": True},
        clickmode="event+select",
        dragmode=False,
    )
    return figure


def score_histogram(summary: Summary, policy: Policy) -> go.Figure:
    """Images by defect score, on a scale on which single ones stay in sight, with the policy's
    three zones."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.add_bar(
        x=(np.arange(BINS) + 0.5) / BINS,
        y=summary.scores,
        width=1 / BINS,
        marker={"color": BARS, "line": {"width": 0}},
        customdata=np.arange(BINS) / BINS,
        hovertemplate="score from %{customdata:.2f}: %{y:,} images<extra></extra>",
    )
    for low, high, verdict in policy.bands:
        figure.add_vrect(
            x0=low,
            x1=high,
            fillcolor=LOOKS[verdict].hex,
            opacity=0.18,
            line_width=0,
            layer="below",
        )
    for at in {policy.accept_below, policy.reject_above}:
        figure.add_vline(x=at, line={"width": 1.5, "dash": "dot", "color": AXIS})
    figure.update_layout(
        height=230,
        margin=MARGIN,
        bargap=0,
        xaxis={"title": "defect score", "range": [0, 1], "fixedrange": True},
        yaxis={"title": "images", "fixedrange": True},
        clickmode="event+select",
        dragmode=False,
        hovermode="x",
    )
    most = summary.scores.max(initial=0)
    figure.update_yaxes(log_counts(most) if most >= MANY else whole_numbers(most))
    return figure
