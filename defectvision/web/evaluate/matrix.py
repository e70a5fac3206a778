"""Tables of what images show against what was said of them; a click into a cell shows those."""

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
from defectvision.web.matrix import button_matrix
from defectvision.words import plain

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
    button_matrix(
        kind,
        {row: rows[row] for row in found.rows},
        {column: columns[column] for column in found.columns},
        {
            (row, column): int(found.counts[i, j])
            for i, row in enumerate(found.rows)
            for j, column in enumerate(found.columns)
        },
        lambda row, column: look_at(View(kind, row, column), number),
        (shown.row, shown.column) if shown is not None and shown.kind == kind else None,
        wrong,
        words=TITLES,
    )
