"""All evaluations, and what to do while there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from defectvision.store.database import Store
from defectvision.store.evaluations import State, list_evaluations, state_of
from defectvision.store.tables import EvaluationRow
from defectvision.web.evaluate.opening import asked, go_to
from defectvision.words import counted, in_utc

LOOK_SECONDS = 2.0
FIGURES = {"accuracy": "Right label", "escapes": "Escapes", "overkills": "Overkill"}
EMPTY = (
    "Nothing was evaluated yet. On the left, choose a line, a bundle and labelled images, or the "
    "images that people have reviewed, and press **Evaluate**. It goes on when this tab is closed, "
    "and what it finds is kept: how many defective parts escape, how many good ones are rejected, "
    "what that costs, and where the thresholds should stand."
)


def all_evaluations(store: Store) -> None:
    """The list; looks again every few seconds while somebody works on one of them."""
    with store.reading() as session:
        rows = list_evaluations(session)
        active = any(state_of(session, row) is State.RUNNING for row in rows)
    if not rows:
        st.info(EMPTY, icon=":material/fact_check:")
        return
    st.fragment(_all, run_every=LOOK_SECONDS if active else None)(store)


def _all(store: Store) -> None:
    with store.reading() as session:
        rows = list_evaluations(session)
        states = [state_of(session, row) for row in rows]
    st.caption(f"{counted(len(rows), 'evaluation')}, the newest first; a click opens one.")
    key = "evaluations"

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        places = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if places and places[0] < len(rows):
            go_to(rows[places[0]].id)

    st.dataframe(
        [_cells(row, state) for row, state in zip(rows, states, strict=True)],
        key=key,
        hide_index=True,
        on_select=clicked,
        selection_mode=["single-row", "single-cell"],
        alt="All evaluations",
        column_config={
            "No.": st.column_config.NumberColumn(format="%d", width="small"),
            "Images": st.column_config.NumberColumn(format="localized"),
            "Started, UTC": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "Data": st.column_config.TextColumn(width="medium"),
            **{
                title: st.column_config.NumberColumn(format="percent") for title in FIGURES.values()
            },
        },
    )
    # The whole page, as its address says what is open.
    if asked() is not None:
        st.rerun()


def _cells(row: EvaluationRow, state: State) -> dict[str, Any]:
    said = state.value.capitalize()
    if state is State.RUNNING and row.total:
        said = f"{row.done / row.total:.0%} done"
    values = (row.summary.get("metrics") or {}).get("values") or {}
    figures = {title: (values.get(name) or {}).get("value") for name, title in FIGURES.items()}
    return {
        "No.": row.id,
        "Line": row.line,
        "Bundle": row.bundle,
        "Version": row.bundle_version,
        "Data": row.data,
        "State": said,
        "Images": row.images or None,
        **figures,
        "Started, UTC": row.made,
        "By": row.who,
    }


def titles_of(rows: Sequence[EvaluationRow]) -> dict[int, str]:
    """What evaluations are called where one is chosen, by number."""
    return {
        row.id: f"{row.id}: {row.bundle} {row.bundle_version[:6]}, {row.data}, {in_utc(row.made)}"
        for row in rows
    }
