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
from defectvision.web.dataset.progress import chosen_part, follow, regions_later

with st.sidebar:
    opening = open_controls()
if opening is None:
    heading.empty_state()
    st.stop()

look = opening.now  # all that is drawn shows this moment
study = look.study
if study is None:
    heading.nameless(opening.path)
    follow(opening, look)
    st.stop()

heading.heading(study)
# What comes and goes has a place of its own: the page would lose the place it was scrolled to if
# all that stands below were drawn anew.
with st.container():
    follow(opening, look)
with st.container(key="set-places"):
    left, right = st.columns([7, 4], gap="medium")
with left:
    with st.container():
        heading.messages(study)
    part = chosen_part(look)
    if part == "Balance":
        charts.chart_grid(balance_blocks(study), later=regions_later(study))
        tables.weights(study)
    elif part == "Defects":
        charts.chart_grid(defect_blocks(study), charts.NO_REGIONS)
        tables.extremes(study)
    elif part == "Pictures":
        charts.chart_grid(picture_blocks(study), charts.NO_PICTURES)
        tables.odd_ones(study)
    elif part == "Near-copies":
        near_copies(study)
        charts.chart_grid(group_blocks(study))
        tables.contradictions(study)
    elif part == "Shortcuts":
        charts.chart_grid(shortcut_blocks(study), charts.NO_SHORTCUTS)
    elif part == "Map":
        charts.map_panel(study)
with right:
    browser(study)
