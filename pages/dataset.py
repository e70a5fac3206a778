"""Understand a labelled set: balance, defects, pictures, near-copies, shortcuts, a map."""

import streamlit as st

from defectvision.report.dataset.html import dataset_html
from defectvision.report.dataset.sections import (
    balance_blocks,
    defect_blocks,
    group_blocks,
    picture_blocks,
    shortcut_blocks,
)
from defectvision.web.dataset import panels
from defectvision.web.dataset.opening import open_controls

with st.sidebar:
    study = open_controls()
if study is None:
    panels.empty_state()
    st.stop()

panels.heading(study, dataset_html)
charts, images = st.columns([7, 4], gap="medium")
with charts:
    panels.messages(study)
    names = ["Balance", "Defects", "Pictures", "Near-copies", "Shortcuts", "Map"]
    part = st.segmented_control(
        "Part", names, default="Balance", required=True, key="part", label_visibility="collapsed"
    )
    if part == "Balance":
        panels.blocks(study, balance_blocks(study))
        panels.weights(study)
    elif part == "Defects":
        panels.blocks(study, defect_blocks(study), panels.NO_REGIONS)
        panels.extremes(study)
    elif part == "Pictures":
        panels.blocks(study, picture_blocks(study), panels.NO_PICTURES)
        panels.odd_ones(study)
    elif part == "Near-copies":
        panels.near_copies(study)
        panels.blocks(study, group_blocks(study))
        panels.contradictions(study)
    elif part == "Shortcuts":
        panels.blocks(study, shortcut_blocks(study), panels.NO_SHORTCUTS)
    else:
        panels.map_panel(study)
with images:
    panels.browser(study)
