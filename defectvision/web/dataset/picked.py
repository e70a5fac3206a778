"""Which images were picked on a chart or in a table; the browser beside them shows these."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from defectvision.report.dataset.selection import token

PICKED = "picked"  # session key: the filters behind the marks that were clicked
PAGE = "page"  # session key: the browser's page
LARGE = "large-image"  # session key: the image that is open in its dialog
FILTERS = ("filter-class", "filter-split")  # session keys of the browser's own filters
SETS = "sets-opened"  # session key: how many sets were opened


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


def large_is_open() -> bool:
    """Whether an image is open in its dialog."""
    return st.session_state.get(LARGE) is not None


def forget() -> None:
    """Clear what was picked and filtered: in another set it means nothing."""
    for key in (PICKED, PAGE, LARGE, *FILTERS):
        st.session_state.pop(key, None)
    st.session_state[SETS] = st.session_state.get(SETS, 0) + 1


def table_key(table: str) -> str:
    """The key of a table of this set: rows that were selected in another one mean nothing here."""
    return f"{table}-{st.session_state.get(SETS, 0)}"
