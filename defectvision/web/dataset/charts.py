"""Charts of the Dataset page: each opens its images when one of its marks is clicked."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from defectvision.audit.study import Study
from defectvision.report.dataset.sections import Block, map_block
from defectvision.report.dataset.selection import tokens_of
from defectvision.web.dataset.picked import pick
from defectvision.words import plain

NO_REGIONS = "This set has no masks, boxes or areas: sizes and places of the defects are unknown."
NO_PICTURES = "Without images there is nothing to measure here."
NO_SHORTCUTS = "Shortcuts need images of two classes, at least 10 of each."
NARROWEST = 280  # px of a chart whose title and labels can be read
LATER = ":material/hourglass_top:"  # beside what is not there yet
WIDE = ("position", "shortcuts")  # keys of the blocks that take the whole width

Mode = Literal["points", "box", "lasso"]


def chart_grid(blocks: list[Block], empty_text: str = "", later: str = "") -> None:
    """Charts in two columns where there is room, each with its sentence; `empty_text` where there
    is none. `later` stands in the place of the second chart, which is not there yet."""
    if not blocks:
        if empty_text:
            st.info(empty_text, icon=":material/info:")
        return
    cells: list[Block | str] = [*blocks]
    if later:
        cells.insert(1, later)
    with st.grid(2, min_column_width=NARROWEST, gap="medium") as grid:
        for cell in cells:
            wide = isinstance(cell, Block) and cell.key in WIDE
            with grid.cell(column_span="all" if wide else 1):
                if isinstance(cell, Block):
                    _chart(cell)
                else:
                    st.info(cell, icon=LATER)


def map_panel(study: Study) -> None:
    """The 2-D map; a lasso chooses images."""
    if len(study.map) < 3:
        st.info("The map needs at least three readable images.", icon=":material/info:")
        return
    choices = ["class", "near-copies", "prediction"]
    if (study.catalog.table["split"] != "").any():
        choices.insert(1, "split")
    by = st.segmented_control("Colour", choices, default="class", required=True, key="map-colour")
    predictions = None
    if by == "prediction":
        # Loaded by those who predict: nobody else on this page needs the store.
        from defectvision.web.dataset.predictions import prediction_controls

        predictions = prediction_controls(study)
        if predictions is None:
            return
    _chart(map_block(study, by, predictions), ("points", "lasso"))


def _chart(block: Block, modes: tuple[Mode, ...] = ("points",)) -> None:
    key = f"chart-{block.key}"
    st.plotly_chart(
        block.figure,
        key=key,
        on_select=lambda: _take(key),
        selection_mode=modes,
        config={"displayModeBar": len(modes) > 1, "displaylogo": False},
        alt=block.figure.layout.title.text,
    )
    st.caption(plain(block.sentence))


def _take(key: str) -> None:
    """Keep what was clicked; a click beside the marks clears it."""
    event = st.session_state.get(key) or {}
    points = (event.get("selection") or {}).get("points") or []
    pick(tokens_of(points))
