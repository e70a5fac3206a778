"""From one image to the next: buttons, keys, and where the open image stands."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from defectvision.report.looks import SYNTHETIC
from defectvision.web.cards import heading


def position(place: int, total: int, synthetic: bool) -> str:
    """Where an image stands among `total`, `place` counted from 0, and whether it was drawn."""
    words = f"{place + 1:,} of {total:,}"
    return f"{words} · {SYNTHETIC.capitalize()}" if synthetic else words


def step_control(
    name: str,
    place: int,
    total: int,
    synthetic: bool,
    go: Callable[[int], None],
    close: Callable[[], None] | None = None,
) -> None:
    """Previous and next (keys P and N), close (Escape) where there is something to return to, and
    the name of the open image. `go` gets the place to open, counted from 0."""
    columns = st.columns(2 if close is None else 3, gap="small")
    for column, label, there in (
        (columns[0], "Previous", place - 1),
        (columns[1], "Next", place + 1),
    ):
        column.button(
            label,
            shortcut=label[0],
            width="stretch",
            disabled=not 0 <= there < total,
            on_click=go,
            args=(there,),
        )
    if close is not None:
        columns[2].button("Close", shortcut="Escape", width="stretch", on_click=close)
    st.html(heading(name, position(place, total, synthetic)))
