"""What the page's charts have besides those of the report: the policy's place on a curve, and the
differences of two bundles."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from defectvision.bundle.policy import Policy, Verdict, threshold_text
from defectvision.evaluation.charts import Curve
from defectvision.report.dataset.style import ACCENT, finished
from defectvision.report.looks import AXIS, LOOKS


def with_thresholds(figure: go.Figure, curve: Curve, policy: Policy | None) -> go.Figure:
    """Mark the policy's two thresholds on a curve of the defect score."""
    if policy is None or not len(curve.thresholds):
        return figure
    for level, verdict, word in (
        (policy.accept_below, Verdict.ACCEPT, "not accepted"),
        (policy.reject_above, Verdict.REJECT, "rejected"),
    ):
        # Thresholds fall along the curve: the last one that is not below the level.
        place = int(np.searchsorted(-curve.thresholds, -level, "right")) - 1
        place = min(max(place, 0), len(curve.x) - 1)
        words = f"{word} from {threshold_text(level)}"
        figure.add_scatter(
            x=[curve.x[place]],
            y=[curve.y[place]],
            mode="markers",
            marker={"size": 11, "color": LOOKS[verdict].hex, "line": {"width": 1, "color": "#fff"}},
            name=words,
            hovertemplate=f"{words}: %{{x:.2%}}, %{{y:.2%}}<extra></extra>",
        )
    return figure


def difference_figure(
    titles: Sequence[str], rows: Sequence[tuple[float, float, float]], title: str
) -> go.Figure:
    """Paired differences, each with the ends of its interval; where one crosses zero none was
    found."""
    figure = go.Figure()
    figure.add_vline(x=0, line={"width": 1.5, "color": AXIS})
    values = 100 * np.array(rows).reshape(-1, 3)
    figure.add_scatter(
        x=values[:, 0],
        y=[*map(escape, titles)],
        mode="markers",
        marker={"size": 10, "color": ACCENT},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": values[:, 2] - values[:, 0],
            "arrayminus": values[:, 0] - values[:, 1],
        },
        hovertemplate="%{y}: %{x:+.2f} percentage points<extra></extra>",
    )
    finished(figure, escape(title), "percentage points", "", 150 + 36 * len(titles))
    figure.update_yaxes(type="category", autorange="reversed")
    return figure
