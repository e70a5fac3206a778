"""A table of counts whose cells are buttons that show what they count: a keyboard reaches each, and
a screen reader says what it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Literal

import streamlit as st

from defectvision.words import counted

Cell = tuple[str, str]  # row, column


def button_matrix(
    kind: str,
    rows: Mapping[str, str],
    columns: Mapping[str, str],
    counts: Mapping[Cell, int],
    clicked: Callable[[str, str], None],
    opened: Cell | None = None,
    marked: Collection[Cell] = (),
    mark: Literal["red", "orange"] = "red",
    words: Mapping[Cell, tuple[str, str]] | None = None,
    corner: str = "",
) -> None:
    """rows, columns: their titles by name. kind: tells its buttons from those of another table;
    opened: the cell that is shown; marked: cells that stand out in the colour `mark`; words: what a
    cell counts, one and several, where that is worth saying."""
    widths = [1.2, *[1] * len(columns)]
    with st.container(key=f"matrix-{kind}", gap="small"):
        head = st.columns(widths)
        head[0].markdown(corner)
        for cell, name in zip(head[1:], columns, strict=True):
            cell.markdown(columns[name])
        for i, row in enumerate(rows):
            cells = st.columns(widths, vertical_alignment="center")
            cells[0].markdown(rows[row])
            for j, column in enumerate(columns):
                count, open_ = counts.get((row, column), 0), opened == (row, column)
                said = (words or {}).get((row, column), ("", " "))
                label = counted(count, *said).strip()
                stands_out = (row, column) in marked and count and not open_
                cells[j + 1].button(
                    f":{mark}[**{label}**]" if stands_out else label,
                    key=f"{kind}-{i}-{j}",
                    width="stretch",
                    type="primary" if open_ else "secondary",
                    disabled=not count,
                    help=f"{rows[row]}, {columns[column]}: show these images",
                    on_click=clicked,
                    args=(row, column),
                )
