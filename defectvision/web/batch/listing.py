"""All batches, the one that is followed, and the files that could not be inspected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from defectvision.bundle.reader import find_lines
from defectvision.people import Action, NotAllowedError, Person
from defectvision.report.looks import NOT_INSPECTED
from defectvision.settings import settings
from defectvision.store import batches
from defectvision.store.age import about
from defectvision.store.batches import Counts, images_in
from defectvision.store.database import Store
from defectvision.store.dropped import confirm_removal
from defectvision.store.errors import StoreError
from defectvision.store.files import Files
from defectvision.store.releases import newest_versions
from defectvision.store.tables import BatchRow, ImageState
from defectvision.web.batch.condition import say_condition
from defectvision.web.batch.progress import progress
from defectvision.web.session.people import acting, lacking_reason, ready
from defectvision.web.widgets import part_of_more
from defectvision.words import counted, plain

LOOK_SECONDS = 1.0
SHOWN = 200  # batches, and as many more with each click
EMPTY = (
    "Nothing was inspected as a batch yet. On the left, choose a line, give the images of a lot "
    "(files, zip files, or a folder on the server) and press **Start batch**. It goes on when this "
    "tab is closed."
)


def all_batches(store: Store) -> None:
    """The batch that is followed above the list of all, from one look at the database; looks again
    each second while somebody works on one of them.

    All of it is drawn anew together. Were the whole page run again from here, it would overrule
    somebody who has just gone to another one.
    """
    with store.reading() as session:
        active = bool(batches.active_batches(session))
    st.fragment(_all_batches, run_every=LOOK_SECONDS if active else None)(store)


def _all_batches(store: Store) -> None:
    who = acting()  # asked at each look: the page may stay open for days
    with store.reading() as session:
        shown = st.session_state.setdefault("batches-shown", SHOWN)
        rows = batches.list_batches(session, most=shown)
        every = batches.count_batches(session)
        followed: int | None = st.session_state.get("followed")
        batch = followed and session.get(BatchRow, followed)
        numbers = [row.id for row in (*rows, *([batch] if batch else []))]
        counts = batches.count_by_batch(session, numbers)
        versions = newest_versions(session, numbers)
    say_condition()
    if not rows:
        st.markdown(EMPTY)
        return
    batch = batch or rows[0]
    progress(store, batch, counts[batch.id], who)
    with part_of_more(every > len(rows)):
        _table(rows, counts, versions)
    if every > len(rows):
        st.caption(f"The newest {len(rows):,} of {counted(every, 'batch', 'batches')}.")
        st.button("Show older ones", icon=":material/expand_more:", on_click=_show_older)
    failed_files(store, batch.id, counts[batch.id].failed)
    store_size(store, rows, who)


def _show_older() -> None:
    st.session_state["batches-shown"] += SHOWN


def _table(
    rows: Sequence[BatchRow], counts: Mapping[int, Counts], versions: Mapping[int, int]
) -> None:
    """All batches; a click into a row follows its batch."""
    import pandas as pd

    numbers = [row.id for row in rows]
    titles = {line.name: line.title for line in find_lines(settings().weights).readable}
    table = pd.DataFrame(
        {
            "lot": row.id,
            "title": row.title,
            "line": titles.get(row.line, row.line),
            "state": row.state.capitalize(),
            "images": counts[row.id].total,
            "done": counts[row.id].done,
            "failed": counts[row.id].failed,
            "released": f"version {versions[row.id]}" if row.id in versions else "",
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
            "lot": st.column_config.NumberColumn("Lot", format="%d", width="small"),
            "title": st.column_config.TextColumn("Batch", width="medium"),
            "line": "Line",
            "state": "State",
            "images": st.column_config.NumberColumn("Images", format="localized"),
            "done": st.column_config.NumberColumn("Inspected", format="localized"),
            "failed": st.column_config.NumberColumn("Failed", format="localized"),
            "released": "Released",
            "started": st.column_config.DatetimeColumn("Started, UTC", format="YYYY-MM-DD HH:mm"),
            "by": "By",
        },
    )


@st.cache_data(ttl=60, max_entries=4, show_spinner=False)
def _usage(url: str, states: tuple[tuple[int, str], ...]) -> tuple[int, int]:
    """Files and bytes. states: of all batches; when one of them changes, it is counted anew."""
    return Files(url).usage()


def store_size(store: Store, rows: Sequence[BatchRow], who: Person) -> None:
    """What the pictures and maps of all batches take, and why none is removed where that is so."""
    states = tuple((row.id, row.state) for row in rows)
    files, size = _usage(store.files.url, states)
    st.caption(f"The store holds {counted(files, 'file')}, {size_words(size)}.")
    with store.reading() as session:
        reason = about(session).standstill
    if reason:
        st.warning(
            plain(f"No file is removed from the store: {reason}."), icon=":material/delete_forever:"
        )
        with st.popover("Confirm removal", icon=":material/rule:"):
            _confirm_form(store, who)


def size_words(size: int) -> str:
    """Bytes as a person reads them: "1.26 GB", "3.4 MB"."""
    if size >= 1e9:
        return f"{size / 1e9:.2f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def _confirm_form(store: Store, who: Person) -> None:
    """Asks for the word of a person, with a name and a reason."""
    st.markdown(
        "Says that the files are this database's alone, that the clock is right, and that what no "
        "batch needs any more may be removed. It is kept in the audit trail."
    )
    why = st.text_input("Reason", key="confirm-removal-reason", max_chars=500)
    ready(who, Action.DELETE)
    said = lacking_reason(who, Action.DELETE, why)
    st.button(
        "Confirm",
        type="primary",
        disabled=bool(said),
        help=said or None,
        on_click=_confirm,
        args=(store, why),
    )


def _confirm(store: Store, why: str) -> None:
    try:
        confirm_removal(store, acting(), why)
    except (StoreError, NotAllowedError) as error:
        st.toast(plain(str(error)), icon=":material/info:")


def failed_files(store: Store, number: int, count: int) -> None:
    """The `count` files of a batch that could not be inspected, with reason and remedy; read when
    somebody opens them."""
    if not count:
        return
    title = counted(count, "file was not inspected", "files were not inspected")
    key = f"failed-files-{number}"
    with st.expander(title, icon=NOT_INSPECTED.icon, key=key, on_change="rerun") as opened:
        if not opened.open:
            return
        with store.reading() as session:
            rows = images_in(session, number, ImageState.FAILED)
        st.dataframe(
            [{"File": r.name, "Reason": r.reason, "What to do": r.remedy} for r in rows],
            hide_index=True,
            alt="Files that could not be inspected",
        )
