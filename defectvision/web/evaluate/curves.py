"""How well the scores separate, and whether they mean what they say."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.evaluation.charts import Curve, precision_recall, reliability, roc
from defectvision.evaluation.kept import Kept
from defectvision.report.evaluation.figures import (
    precision_figure,
    reliability_figure,
    roc_figure,
)
from defectvision.web.evaluate.charts import with_thresholds
from defectvision.web.evaluate.opening import once
from defectvision.words import percentage, plain

DEFECT_SCORE = "Defect score: good against defective"
ONE_KIND = "A curve needs parts of both kinds, and these images show one alone."
BAR = {"displayModeBar": False}


def curves(kept: Kept, policy: Policy) -> None:
    """ROC, precision and recall, reliability: of the defect score, or of one class."""
    of = _which(kept)
    shown = policy if of is None else None
    left, right = st.columns(2, gap="medium")
    with left:
        curve = once(kept, "roc", lambda: roc(kept, of), of)
        if curve.area is None:
            st.caption(ONE_KIND)
        else:
            figure = with_thresholds(roc_figure(curve), curve, shown)
            st.plotly_chart(figure, key="evaluation-roc", config=BAR, alt="ROC curve with its band")
            st.caption(f"Area under the curve {_area(curve)}.")
    with right:
        curve = once(kept, "precision", lambda: precision_recall(kept, of), of)
        if curve.area is None:
            st.caption(ONE_KIND)
        else:
            figure = with_thresholds(precision_figure(curve), curve, shown)
            st.plotly_chart(
                figure, key="evaluation-pr", config=BAR, alt="Precision by recall with its band"
            )
            st.caption(
                f"Average precision {_area(curve)}. It depends on how many parts are defective: "
                f"here {percentage(kept.defective.mean())}."
            )
    found = once(kept, "reliability", lambda: reliability(kept, of), of)
    if found.error is None:
        st.caption("There is nothing to tell from.")
        return
    chart, words = st.columns(2, gap="medium")
    chart.plotly_chart(
        reliability_figure(found),
        key="evaluation-reliability",
        config=BAR,
        alt="What was said against how often it was so",
    )
    value, low, high = found.error
    words.metric("Expected calibration error", f"{value:.3f}")
    words.caption(
        f"{low:.3f} to {high:.3f}. On the diagonal, of parts with a probability of 80 %, 80 % are "
        "so. Below it the model says more than is true, above it less."
    )


def _which(kept: Kept) -> str | None:
    """The class that the curves are of; None for the defect score."""
    names = [c.name for c in kept.line.classes if c.kind == "defect"]
    choices: list[str | None] = [None, *names] if kept.line.can_accept else [*names]
    if len(choices) < 2 or (kept.line.can_accept and len(names) == 1):
        return choices[0]
    return st.selectbox(
        "Curves of",
        choices,
        format_func=lambda name: DEFECT_SCORE if name is None else plain(kept.line.title_of(name)),
        key=f"evaluation-curves-of-{kept.line.name}",
        filter_mode=None,
    )


def _area(curve: Curve) -> str:
    value, low, high = curve.area or (0.0, 0.0, 0.0)
    return f"{value:.4f} ({low:.4f} to {high:.4f})"
