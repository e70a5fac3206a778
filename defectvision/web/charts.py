"""Charts: data in, figure out. Colours are fit for the light and the dark theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from defectvision.bundle.policy import Policy, Verdict
from defectvision.report.looks import LOOKS

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHAPES = {
    Verdict.ACCEPT: "border-radius:50%;",
    Verdict.REVIEW: "transform:rotate(45deg);",
    Verdict.REJECT: "",
}


def score_strip(
    scores: Sequence[tuple[float, Verdict]], policy: Policy, opened: int | None = None
) -> str:
    """HTML: defect scores (0..1, verdict) along one axis, with the policy's three zones.

    Drawn without Plotly, whose code would have to arrive before the first threshold can be moved.
    Points are spread over the height by their order, so that equal scores stay apart; the shape
    says the verdict, too. `opened` is the place of the open image.
    """
    shown = [
        f'<div style="position:absolute;inset:0 {(1 - high) * 100:.3f}% 0 {low * 100:.3f}%;'
        f'background:color-mix(in srgb,{LOOKS[verdict].hex} 20%,transparent)"></div>'
        for low, high, verdict in policy.zones
    ]
    for place, (score, verdict) in enumerate(scores):
        height = 12 + 76 * ((place * 0.618034) % 1)
        ring = "box-shadow:0 0 0 2px currentColor;z-index:1;" if place == opened else ""
        shown.append(
            f'<i title="defect score {score:.3f}" style="position:absolute;left:{score * 100:.2f}%;'
            f"top:{height:.1f}%;width:9px;height:9px;margin:-5px;{SHAPES[verdict]}{ring}"
            f'background:{LOOKS[verdict].hex}"></i>'
        )
    numbers = "".join(f"<span>{v:g}</span>" for v in (0, 0.25, 0.5, 0.75, 1))
    return (
        '<div class="dv-scores" role="img" style="padding:0 6px;font-size:.8rem" '
        'aria-label="Defect scores of all images, with the two thresholds">'
        f'<div style="position:relative;height:84px">{"".join(shown)}</div>'
        '<div style="display:flex;justify-content:space-between;opacity:.8;'
        f'font-variant-numeric:tabular-nums">{numbers}</div>'
        '<div style="text-align:center;opacity:.8">defect score</div></div>'
    )


def confusion_chart(confusion: Mapping[str, Mapping[str, int]]) -> go.Figure:
    """Counts of (true class, label); colour is the share of the true class."""
    import plotly.graph_objects as go

    names = list(confusion)
    counts = [[confusion[true].get(label, 0) for label in names] for true in names]
    shares = [[n / max(1, sum(row)) for n in row] for row in counts]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=names,
            y=names,
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
