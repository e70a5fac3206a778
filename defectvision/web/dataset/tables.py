"""Tables of the Dataset page: weights to paste, extreme regions, odd pictures, contradictions."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from defectvision.audit import pictures
from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.report.dataset import words
from defectvision.web.dataset.picked import pick_rows, table_key
from defectvision.words import counted


def weights(study: Study) -> None:
    """Class weights ready to paste into a recipe."""
    table = statistics.class_weights(statistics.trained_balance(study.catalog))
    if len(table) < 2:
        return
    st.markdown("**Class weights for a recipe**")
    sides = st.columns(2, gap="medium")
    for side, column, title in zip(
        sides, ("inverse", "effective"), ("Inverse frequency", "Effective number"), strict=True
    ):
        side.caption(title)
        side.code(statistics.recipe_lines(table, column), language="yaml")


def extremes(study: Study) -> None:
    """The smallest and largest regions of each class, to look at."""
    regions = study.regions
    if regions.empty or not study.image_set.has_images:
        return
    st.markdown("**Smallest and largest examples**")
    rows = []
    for label, some in regions.groupby("label"):
        ordered = some.sort_values("area_px")
        rows.append((label, "smallest", *_example(ordered.iloc[0])))
        rows.append((label, "largest", *_example(ordered.iloc[-1])))
    table = pd.DataFrame(rows, columns=["class", "which", "area, px", "length, px", "image"])
    paths = study.catalog.table["path"]
    shown = table.assign(file=[paths.iloc[int(i)] for i in table["image"]]).drop(columns="image")
    event = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=table_key("extremes"),
    )
    if chosen := event.selection.rows:
        pick_rows("extremes", table["image"].iloc[chosen])


def _example(row: pd.Series) -> tuple[int, int, int]:
    return int(row["area_px"]), round(float(row["length_px"] or 0)), int(row["image"])


def odd_ones(study: Study) -> None:
    """Pictures far from the usual values."""
    odd = pictures.outliers(study.pictures) if len(study.pictures) else pd.DataFrame()
    if odd.empty:
        return
    st.markdown(f"**Odd ones out** ({counted(odd['image'].nunique(), 'image')})")
    shown = pd.DataFrame(
        {
            "file": odd["path"],
            "measure": [pictures.MEASURES[m][0] for m in odd["measure"]],
            "value": odd["value"].round(2),
            "usual": odd["usual"].round(2),
            "unit": [pictures.MEASURES[m][1] for m in odd["measure"]],
        }
    )
    event = st.dataframe(
        shown,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=table_key("odd"),
        height=260,
    )
    if chosen := event.selection.rows:
        pick_rows("odd", odd["image"].iloc[chosen])


def contradictions(study: Study) -> None:
    """Images of one photograph with different labels."""
    table = study.grouped.contradictions()
    if table.empty:
        return
    st.markdown("**Different labels in one group**")
    st.caption(words.of_contradictions(study))
    event = st.dataframe(
        table[["photo_group", "label", "path"]].rename(columns={"photo_group": "group"}),
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=table_key("conflicts"),
        height=240,
    )
    if chosen := event.selection.rows:
        pick_rows("conflicts", table.index[chosen])
