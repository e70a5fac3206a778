"""The menu of what can leave a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import streamlit as st

from defectvision.words import counted

ICONS = {
    ".pdf": ":material/picture_as_pdf:",
    ".csv": ":material/csv:",
    ".xlsx": ":material/table:",
    ".json": ":material/data_object:",
    ".zip": ":material/folder_zip:",
}


def export_menu(
    formats: Iterable[tuple[str, str, str, Callable[[], bytes]]], stem: str, total: int
) -> None:
    """A button for each format (title, ending of the file name, MIME type, maker), drawn up when
    it is pressed; `total` images leave."""
    with st.popover("Export", icon=":material/download:", disabled=total == 0):
        st.caption(f"{counted(total, 'image')} under the filter and the policy shown")
        for title, ending, mime, make in formats:
            st.download_button(
                title,
                make,
                f"{stem}{ending}",
                mime,
                key=f"export-{title}",
                icon=ICONS[ending[ending.rindex(".") :]],
                width="stretch",
                on_click="ignore",
            )
