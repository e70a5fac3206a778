"""Tables of what images show against what was said of them. Each cell is a button that shows its
images: a keyboard reaches it, and a screen reader says what it is."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.evaluation.charts import Confusion, class_title, confusion, verdict_table
from defectvision.evaluation.kept import Kept
from defectvision.report.looks import LOOKS
from defectvision.web.evaluate.views import (
    ESCAPES,
    MISTAKES,
    OVERKILLS,
    PART,
    View,
    chosen,
    look_at,
)
from defectvision.words import counted, plain

MOST = 8  # rows and columns of a table; the rest of many is summed up in words
TITLES = {ESCAPES: ("escape", "escapes"), OVERKILLS: ("overkill", "overkills")}


def verdicts(kept: Kept, policy: Policy, number: int) -> None:
    """Good and defective parts by verdict."""
    found = verdict_table(kept, policy)
    words = {v.value: LOOKS[v].markdown for v in Verdict}
    _table(
        found,
        {name: name.capitalize() for name in found.rows},
        words,
        "verdict",
        {ESCAPES, OVERKILLS},
        number,
    )


def classes(kept: Kept, policy: Policy, number: int) -> None:
    """Images by true class and by the one that is named; of many classes those most shown."""
    found = confusion(kept, policy)
    rows = _largest(found.rows, found.counts.sum(1).tolist())
    columns = _largest(found.columns, found.counts.sum(0).tolist())
    titles = {n: plain(class_title(kept, n)) for n in (*found.rows, *found.columns)}
    wrong = {(r, c) for r in found.rows for c in found.columns if r != c}
    places = [[found.rows.index(r) for r in rows], [found.columns.index(c) for c in columns]]
    counts = found.counts[places[0]][:, places[1]]
    shown = Confusion(rows, columns, counts, found.images)
    _table(shown, titles, titles, "class", wrong, number)
    rest = int(found.counts.sum() - counts.sum())
    if rest:
        st.caption(f"{rest:,} images of other sets of classes are not shown here.")


def _largest(names: tuple[str, ...], sizes: list[int]) -> tuple[str, ...]:
    if len(names) <= MOST:
        return names
    least = sorted(sizes, reverse=True)[MOST - 1]
    return tuple(n for n, size in zip(names, sizes, strict=True) if size >= least)[:MOST]


def _table(
    found: Confusion,
    rows: dict[str, str],
    columns: dict[str, str],
    kind: str,
    wrong: set[tuple[str, str]],
    number: int,
) -> None:
    shown = chosen(number) if st.session_state.get(PART) == MISTAKES else None
    widths = [1.2, *[1] * len(found.columns)]
    with st.container(key=f"matrix-{kind}", gap="small"):
        for cell, name in zip(st.columns(widths)[1:], found.columns, strict=True):
            cell.markdown(columns[name])
        for i, row in enumerate(found.rows):
            cells = st.columns(widths, vertical_alignment="center")
            cells[0].markdown(rows[row])
            for j, column in enumerate(found.columns):
                count = int(found.counts[i, j])
                view = View(kind, row, column)
                bad, open_ = (row, column) in wrong and count, shown == view
                label = counted(count, *TITLES.get((row, column), ("", " "))).strip()
                cells[j + 1].button(
                    f":red[**{label}**]" if bad and not open_ else label,
                    key=f"{kind}-{i}-{j}",
                    width="stretch",
                    type="primary" if open_ else "secondary",
                    disabled=not count,
                    help=f"{rows[row]}, {columns[column]}: show these images",
                    on_click=look_at,
                    args=(view, number),
                )
