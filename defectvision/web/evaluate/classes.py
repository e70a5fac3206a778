"""Class by class: labels, masks, and from which length on a defect is found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.words import METRICS
from defectvision.evaluation.charts import class_table
from defectvision.evaluation.defect_sizes import By, Detection, detection, mask_figures
from defectvision.evaluation.kept import Kept
from defectvision.report.evaluation.figures import detection_figure
from defectvision.web.evaluate.matrix import classes as confusion_table
from defectvision.web.evaluate.opening import latest, once
from defectvision.web.evaluate.views import View, look_at
from defectvision.web.lines.card import class_rows
from defectvision.words import percentage, plain

MASK, VERDICT = "Outlined by a mask", "Part not accepted"


def classes(kept: Kept, policy: Policy, number: int) -> None:
    """The table of classes, that of masks, and the curve by length, where there are masks."""
    left, right = st.columns([6, 5], gap="large")
    with left:
        st.markdown("**Classes**: how many images of each are named so, and named rightly")
        st.dataframe(
            _rows(class_table(kept, policy)),
            hide_index=True,
            alt="Recall, precision and F1 of each class",
            column_config={"F1": st.column_config.NumberColumn(format="%.3f")},
        )
    with right:
        st.markdown("**True class and the one that is named**")
        confusion_table(kept, policy, number)
    if figures := class_rows(once(kept, "masks", lambda: mask_figures(kept))):
        st.markdown("**Masks**, as the policy of this evaluation draws them")
        st.table(figures, border="horizontal", hide_index=True, alt="Figures of the masks")
        st.caption(" · ".join(f"{METRICS[m].title}: {METRICS[m].meaning}" for m in ("iou", "dice")))
    if len(kept.defects):
        _sizes(kept, policy, number)


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    def share(row: Any, name: str) -> str:
        value = row[name]
        if math.isnan(value):
            return "–"
        low, high = percentage(row[f"{name}_low"]), percentage(row[f"{name}_high"])
        return f"{percentage(value)} ({low} to {high})"

    return [
        {
            "Class": row["title"],
            "Images": row["images"],
            "Named": row["named"],
            "Recall": share(row, "recall"),
            "Precision": share(row, "precision"),
            "F1": row["f1"],
        }
        for _, row in table.iterrows()
    ]


def _sizes(kept: Kept, policy: Policy, number: int) -> None:
    """Probability of detection by length."""
    st.markdown("**From which length on is a defect found?**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        how = st.segmented_control(
            "Found means",
            [MASK, VERDICT] if kept.about.mask_classes else [VERDICT],
            default=MASK if kept.about.mask_classes else VERDICT,
            required=True,
            key=f"evaluation-found-{bool(kept.about.mask_classes)}",
        )
        present = set(kept.defects["class_name"])
        names = [c.name for c in kept.line.classes if c.name in present]
        of = st.selectbox(
            "Of",
            [None, *names],
            format_func=lambda name: "all defects" if name is None else kept.line.title_of(name),
            key=f"evaluation-size-of-{kept.line.name}",
            width=240,
            filter_mode=None,
        )
    by: By = "mask" if how == MASK else "verdict"
    levels = () if by == "mask" else (policy.model_dump_json(),)
    found = latest(kept, "sizes", lambda: detection(kept, policy, by, of), by, of, *levels)
    scale = policy.mm_per_px
    chart, words = st.columns([7, 4], gap="medium")
    if len(found.bins):
        chart.plotly_chart(
            detection_figure(found),
            key="evaluation-detection",
            config={"displayModeBar": False},
            alt="Share of the defects that are found, by their length",
        )
    with words:
        st.markdown(plain(found.words))
        if found.a90 is not None and scale is not None:
            st.caption(f"{found.a90:.3g} px are {found.a90 * scale:.3g} mm.")
        _missed(found, number)


def _missed(found: Detection, number: int) -> None:
    """The way to the largest defects that were missed."""
    missed = np.flatnonzero(~found.found)
    if not len(missed):
        return
    order = missed[np.argsort(-found.length_px[missed], kind="stable")]
    rows = tuple(dict.fromkeys(int(found.images[i]) for i in order))
    st.button(
        f"Show the {len(rows):,} images with missed defects, the longest first",
        icon=":material/search:",
        on_click=look_at,
        args=(View("rows", rows=rows, words="Missed defects, the longest first"), number),
    )
