"""All batches, what they take, and the files that could not be inspected."""

from __future__ import annotations

import streamlit as st

from defectvision.report.looks import NOT_INSPECTED
from defectvision.store import batches
from defectvision.store.batches import images_in
from defectvision.store.database import Store
from defectvision.store.files import Files
from defectvision.store.tables import ImageState
from defectvision.words import counted


def batch_list(store: Store, followed: int | None) -> int | None:
    """All batches as a table; returns the one to follow: the picked row's, else the newest."""
    import pandas as pd

    with store.reading() as session:
        rows = batches.list_batches(session)
        counts = batches.count_by_batch(session, [row.id for row in rows])
    if not rows:
        return None
    numbers = [row.id for row in rows]
    table = pd.DataFrame(
        {
            "title": row.title,
            "line": row.line,
            "state": row.state.capitalize(),
            "images": counts[row.id].total,
            "done": counts[row.id].done,
            "failed": counts[row.id].failed,
            "started": row.made,
            "by": row.who,
        }
        for row in rows
    )
    key = "batches"

    def clicked() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            st.session_state["followed"] = numbers[picked[0]]

    st.dataframe(
        table,
        key=key,
        hide_index=True,
        on_select=clicked,
        selection_mode="single-row",
        alt="All batches with their state",
        column_config={
            "title": st.column_config.TextColumn("Batch", width="medium"),
            "line": "Line",
            "state": "State",
            "images": st.column_config.NumberColumn("Images", format="localized"),
            "done": st.column_config.NumberColumn("Inspected", format="localized"),
            "failed": st.column_config.NumberColumn("Failed", format="localized"),
            "started": st.column_config.DatetimeColumn("Started", format="YYYY-MM-DD HH:mm"),
            "by": "By",
        },
    )
    return followed if followed in numbers else numbers[0]


@st.cache_data(ttl=60, show_spinner=False)
def _usage(url: str) -> tuple[int, int]:
    return Files(url).usage()


def store_size(store: Store) -> None:
    """What the pictures and maps of all batches take."""
    files, size = _usage(store.files.url)
    st.caption(f"The store holds {counted(files, 'file')}, {size / 1e9:.2f} GB.")


def failed_files(store: Store, number: int) -> None:
    """Files of a batch that could not be inspected, with reason and remedy."""
    with store.reading() as session:
        rows = images_in(session, number, ImageState.FAILED)
    if not rows:
        return
    title = counted(len(rows), "file was not inspected", "files were not inspected")
    with st.expander(title, icon=NOT_INSPECTED.icon):
        st.dataframe(
            [{"File": r.name, "Reason": r.reason, "What to do": r.remedy} for r in rows],
            hide_index=True,
            alt="Files that could not be inspected",
        )
