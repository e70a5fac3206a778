"""The form that starts a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from defectvision.settings import settings
from defectvision.store.retention import ALL, DEFECTS
from defectvision.web.inspect.intake import FILE_TYPES

UPLOADS, FOLDER, WATCH = "Upload", "Folder on the server", "Watched folder"
KEEP = {
    "Keep all pictures": ALL,
    "Keep pictures of defects": DEFECTS,
    "Keep pictures 30 days": "30",
    "Keep pictures 365 days": "365",
}


@dataclass(frozen=True)
class Form:
    """What the form asks for; see `batch.start.BatchRequest`."""

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
        help=None if files or path else _nothing_given(kind),
    )
    return Form(title, files, path, kind == WATCH, KEEP[keep]) if sent else None


def _nothing_given(kind: str) -> str:
    """What the button waits for."""
    if kind == UPLOADS:
        return "Give images first: drop files or a zip file above."
    return "No folder of this server may be read: upload the images instead."


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
