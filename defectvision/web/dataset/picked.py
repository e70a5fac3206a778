"""Which images were picked on a chart or in a table; the browser beside them shows these."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from defectvision.report.dataset.selection import token

PICKED = "picked"  # session key: the filters behind the marks that were clicked
PAGE = "page"  # session key: the browser's page
FILTERS = ("filter-class", "filter-split")  # session keys of the browser's own filters


def picked() -> list[str]:
    """The filters behind what was picked; empty where nothing was."""
    return list(st.session_state.get(PICKED) or [])


def pick(tokens: list[str]) -> None:
    """Show these images in the browser, from its first page."""
    st.session_state[PICKED] = tokens
    st.session_state[PAGE] = 1


def pick_rows(table: str, images: Iterable[int]) -> None:
    """Show the images of the selected rows of `table`. A table keeps its selection between runs:
    only a change of it may move the browser."""
    tokens = [token(image=int(image)) for image in images]
    if st.session_state.get(f"last-{table}") != tokens:
        st.session_state[f"last-{table}"] = tokens
        pick(tokens)


def forget() -> None:
    """Clear what was picked and filtered: in another set it means nothing."""
    for key in (PICKED, PAGE, *FILTERS):
        st.session_state.pop(key, None)
