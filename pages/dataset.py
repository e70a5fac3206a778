"""Understand a labelled set: balance, defects, pictures, near-copies, shortcuts, a map."""

import streamlit as st

from defectvision.report.dataset.sections import (
    balance_blocks,
    defect_blocks,
    group_blocks,
    picture_blocks,
    shortcut_blocks,
)
from defectvision.web.dataset import charts, heading, tables
from defectvision.web.dataset.browser import browser
from defectvision.web.dataset.near_copies import near_copies
from defectvision.web.dataset.opening import open_controls

with st.sidebar:
    study = open_controls()
if study is None:
    heading.empty_state()
    st.stop()

heading.heading(study)
left, right = st.columns([7, 4], gap="medium")
with left:
    heading.messages(study)
    names = ["Balance", "Defects", "Pictures", "Near-copies", "Shortcuts", "Map"]
    part = st.segmented_control(
        "Part", names, default="Balance", required=True, key="part", label_visibility="collapsed"
    )
    if part == "Balance":
        charts.chart_grid(study, balance_blocks(study))
        tables.weights(study)
    elif part == "Defects":
        charts.chart_grid(study, defect_blocks(study), charts.NO_REGIONS)
        tables.extremes(study)
    elif part == "Pictures":
        charts.chart_grid(study, picture_blocks(study), charts.NO_PICTURES)
        tables.odd_ones(study)
    elif part == "Near-copies":
        near_copies(study)
        charts.chart_grid(study, group_blocks(study))
        tables.contradictions(study)
    elif part == "Shortcuts":
        charts.chart_grid(study, shortcut_blocks(study), charts.NO_SHORTCUTS)
    else:
        charts.map_panel(study)
with right:
    browser(study)
