"""How a bundle's training went, as a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from defectvision.bundle.history import read_history
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.looks import AXIS

if TYPE_CHECKING:
    import plotly.graph_objects as go

LOSSES = {
    "train_loss": ("Loss, training images", AXIS, "dot"),
    "val_loss": ("Loss, validation images", "#1c6489", "solid"),
}
ACCURACY = "val_accuracy"
STEEP = 50  # times as large as the smallest loss


def training_curve(loaded: LoadedBundle) -> None:
    """Loss and accuracy by epoch; a word where the bundle brings none."""
    columns = read_history(loaded)
    with st.expander("Training curve", icon=":material/show_chart:"):
        if not any(name in columns for name in LOSSES):
            st.caption(
                "This bundle brings no curve: it learned by heart, or was made before curves were "
                "kept. `defectvision train` puts it into bundles that it makes."
            )
            return
        st.plotly_chart(
            curve_chart(columns),
            key=f"curve-{loaded.line.name}-{loaded.bundle.name}",
            config={"displayModeBar": False},
            alt="Loss and accuracy by epoch of training",
        )


def curve_chart(columns: Mapping[str, Sequence[float | None]]) -> go.Figure:
    """Losses on the left axis, accuracy on the right one."""
    import plotly.graph_objects as go

    epochs = columns.get("epoch") or list(range(1, 1 + max(map(len, columns.values()))))
    figure = go.Figure()
    for name, (title, colour, dash) in LOSSES.items():
        if name in columns:
            figure.add_scatter(
                x=epochs,
                y=columns[name],
                name=title,
                line={"color": colour, "dash": dash, "width": 2},
                hovertemplate="%{y:.4f}",
            )
    if ACCURACY in columns:
        figure.add_scatter(
            x=epochs,
            y=columns[ACCURACY],
            name="Accuracy, validation images",
            yaxis="y2",
            line={"color": "#b87d00", "width": 2},
            hovertemplate="%{y:.1%}",
        )
    figure.update_layout(
        height=280,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="x unified",
        legend={"orientation": "h", "y": -0.25},
        xaxis={"title": "epoch", "fixedrange": True} | ({"dtick": 1} if len(epochs) < 10 else {}),
        yaxis={"title": "loss", "fixedrange": True, **_scale(columns)},
        yaxis2={
            "title": "accuracy",
            "overlaying": "y",
            "side": "right",
            "tickformat": ".0%",
            "range": [0, 1.03],
            "tickmode": "linear",
            "dtick": 0.25,
            "showgrid": False,
            "fixedrange": True,
        },
    )
    return figure


def _scale(columns: Mapping[str, Sequence[float | None]]) -> dict[str, object]:
    """By powers of ten where the first epochs would leave no room for what follows."""
    losses = [loss for name in LOSSES for loss in columns.get(name, ()) if loss and loss > 0]
    if losses and max(losses) > STEEP * min(losses):
        return {"type": "log", "dtick": 1}
    return {"rangemode": "tozero"}
