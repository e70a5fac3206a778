"""Where the pages lie, and links from one to another."""

from __future__ import annotations

import streamlit as st

from defectvision.settings import ROOT

PAGES = ROOT / "pages"


def batches_link() -> None:
    """To the page where a batch is started."""
    st.page_link(PAGES / "batches.py", label="Batches", icon=":material/inventory_2:")


def review_link(batch: int, image: int) -> None:
    """To the decision on one part."""
    st.page_link(
        PAGES / "review.py",
        label="Open in Review",
        icon=":material/how_to_reg:",
        query_params={"batch": str(batch), "image": str(image)},
    )


def floor_link(batch: int, image: int) -> None:
    """To one part's verdict, to be read from afar."""
    st.page_link(
        PAGES / "floor.py",
        label="Shop-floor view",
        icon=":material/tv:",
        query_params={"batch": str(batch), "image": str(image)},
    )


def results_link(batch: int) -> None:
    """To what was found in a batch."""
    st.page_link(
        PAGES / "results.py",
        label="Results",
        icon=":material/table_view:",
        query_params={"batch": str(batch)},
    )
