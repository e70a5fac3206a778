"""Start batches, and follow them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from defectvision.report.looks import NOT_INSPECTED
from defectvision.settings import ROOT, settings
from defectvision.store import batches
from defectvision.store.batches import ACTIVE, ENDED, Counts, State, images_in
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.files import Files
from defectvision.store.retention import ALL, DEFECTS, delete_batch
from defectvision.store.sources import WatchedFolder
from defectvision.store.tables import BatchRow, ImageState
from defectvision.web.inspect.intake import FILE_TYPES
from defectvision.words import counted, duration, plain

LOOK_SECONDS = 1.0
UPLOADS, FOLDER, WATCH = "Upload", "Folder on the server", "Watched folder"
KEEP = {
    "Keep all pictures": ALL,
    "Keep pictures of defects": DEFECTS,
    "Keep pictures 30 days": "30",
    "Keep pictures 365 days": "365",
}
STATES = {
    State.RUNNING: (":material/play_circle:", "blue"),
    State.WATCHING: (":material/visibility:", "blue"),
    State.PAUSED: (":material/pause_circle:", "orange"),
    State.CANCELLED: (":material/cancel:", "gray"),
    State.FAILED: (":material/error:", "red"),
    State.DONE: (":material/check_circle:", "green"),
}


@dataclass(frozen=True)
class Form:
    """What the form asks for; see `batch.start.Wanted`."""

    title: str
    files: Sequence[UploadedFile]
    path: Path | None
    watch: bool
    keep: str


def new_batch() -> Form | None:
    """The form that starts a batch; None until it is sent."""
    turn = st.session_state.setdefault("batch-forms", 0)
    kind = st.segmented_control(
        "Images from",
        [UPLOADS, FOLDER, WATCH],
        default=UPLOADS,
        required=True,
        key="batch-kind",
        persist_state="session",
    )
    title = st.text_input("Title", key=f"batch-title-{turn}", placeholder="Lot, shift, order")
    files: Sequence[UploadedFile] = ()
    path = None
    if kind == UPLOADS:
        files = st.file_uploader(
            "Images or zip files of the batch",
            type=FILE_TYPES,
            accept_multiple_files=True,
            max_upload_size=settings().max_upload_mb,
            key=f"batch-files-{turn}",
        )
    else:
        path = _folder(kind, turn)
    keep = st.selectbox("Pictures", list(KEEP), key="batch-keep", persist_state="session")
    sent = st.button(
        "Start batch",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not (files or path),
    )
    return Form(title, files, path, kind == WATCH, KEEP[keep]) if sent else None


def follow(number: int) -> None:
    """Show a batch that was just started, and an empty form."""
    st.session_state["batch-forms"] += 1
    st.session_state["followed"] = number
    st.rerun()


def _folder(kind: str, turn: int) -> Path | None:
    roots = [str(root) for root in settings().source_roots]
    if not roots:
        st.info(
            "No folder of this server may be read. Whoever runs it names some in "
            '`DEFECTVISION_SOURCE_ROOTS`, for example `["/data/camera"]`.',
            icon=":material/folder_off:",
        )
        return None
    root = st.selectbox("Below", roots, key="batch-root", persist_state="session")
    inside = st.text_input(
        "Folder" if kind == WATCH else "Folder, zip file or image",
        key=f"batch-path-{turn}",
        placeholder="empty for all of it",
        help="Images that appear there are inspected until the batch is finished."
        if kind == WATCH
        else None,
    )
    return Path(root) / inside


def progress(store: Store, number: int, who: str) -> None:
    """How far a batch is, what it takes, and what can be done with it; looks again each second
    while somebody works on it."""
    with store.reading() as session:
        active = State(batches.get_batch(session, number).state) in ACTIVE
    st.fragment(_progress, run_every=LOOK_SECONDS if active else None)(store, number, who)


def _progress(store: Store, number: int, who: str) -> None:
    with store.reading() as session:
        batch = batches.get_batch(session, number)
        counts = batches.count_images(session, number)
    state = State(batch.state)
    icon, colour = STATES[state]
    with st.container(border=True, key="batch-progress"):
        st.markdown(f"#### {plain(batch.title)}")
        st.markdown(f":{colour}[{icon} **{state.capitalize()}**] · {_said(batch, counts)}")
        if counts.total and state != State.WATCHING:
            st.progress((counts.done + counts.failed) / counts.total)
        if batch.message:
            st.warning(plain(batch.message), icon=":material/info:")
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            for label, to, symbol in (
                ("Pause", State.PAUSED, ":material/pause:"),
                ("Resume", State.RUNNING, ":material/play_arrow:"),
                ("Finish", State.DONE, ":material/done_all:"),
                ("Cancel", State.CANCELLED, ":material/close:"),
            ):
                if state in batches.MOVES[to]:
                    st.button(
                        label,
                        key=f"batch-{label}",
                        icon=symbol,
                        on_click=_move,
                        args=(store, number, to, who),
                    )
            if counts.done:
                st.page_link(
                    ROOT / "pages" / "results.py",
                    label="Results",
                    icon=":material/table_view:",
                    query_params={"batch": str(number)},
                )
            if state in ENDED:
                with st.popover("Delete", icon=":material/delete:"):
                    st.markdown("Removes the batch with its pictures, scores and reviews.")
                    st.button(
                        "Delete the batch",
                        type="primary",
                        on_click=_delete,
                        args=(store, number, who),
                    )
    # The list and the failures stand outside of what is drawn anew each second.
    seen = (state, counts.failed > 0)
    if st.session_state.get("batch-seen") != (number, seen):
        st.session_state["batch-seen"] = (number, seen)
        if state not in ACTIVE or counts.failed:
            st.rerun()


def _said(batch: BatchRow, counts: Counts) -> str:
    """Progress in words: images, images per second, time left."""
    words = [f"{counts.done + counts.failed:,} of {counted(counts.total, 'image')}"]
    if not batch.listed and batch.state in ACTIVE and not isinstance(batch.source, WatchedFolder):
        words[0] += ", still listing"
    if counts.failed:
        words.append(f"{counts.failed:,} failed")
    if counts.repeated:
        words.append(f"{counts.repeated:,} the same file as another")
    done = counts.done + counts.failed
    if done and batch.seconds > 0:
        rate = done / batch.seconds
        words.append(f"{rate:,.1f} images/s")
        if batch.state == State.RUNNING and counts.waiting:
            words.append(f"about {duration(counts.waiting / rate)} left")
    return " · ".join(words)


def _move(store: Store, number: int, to: State, who: str) -> None:
    try:
        with store.session() as session:
            batches.move(session, number, to, who or "unnamed")
    except StoreError as error:  # somebody else was faster
        st.toast(plain(str(error)), icon=":material/info:")


def _delete(store: Store, number: int, who: str) -> None:
    try:
        with store.session() as session:
            delete_batch(session, number, who or "unnamed")
    except StoreError as error:
        st.toast(plain(str(error)), icon=":material/info:")
    st.session_state.pop("followed", None)


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
