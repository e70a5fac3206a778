"""The one menu of what can leave a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import streamlit as st

from defectvision.report.export import Format

ICONS = {
    ".pdf": ":material/picture_as_pdf:",
    ".csv": ":material/csv:",
    ".xlsx": ":material/table:",
    ".json": ":material/data_object:",
    ".zip": ":material/folder_zip:",
    ".png": ":material/image:",
}


@dataclass(frozen=True)
class Group:
    """Files of one kind of content.

    title: what leaves, in words; stem: how the names of the files begin, before their ending; key:
    what tells its buttons from those of another group with the same formats.
    """

    title: str
    stem: str
    formats: Sequence[Format]
    key: str = ""


def export_menu(groups: Sequence[Group]) -> None:
    """A menu of all formats; each is made when it is pressed. Nothing can leave without a group."""
    with st.popover("Export", icon=":material/download:", disabled=not groups):
        for group in groups:
            st.caption(group.title)
            for about in group.formats:
                st.download_button(
                    about.title,
                    about.make,
                    f"{group.stem}{about.ending}",
                    about.mime,
                    key=f"export-{group.key}{about.title}",
                    icon=ICONS[about.ending[about.ending.rindex(".") :]],
                    width="stretch",
                    on_click="ignore",
                )


def file_stem(name: str) -> str:
    """A file name for a download, from a hostile one: letters, digits, '_', '.', '-'."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(name).stem).strip("._")
    return stem[:80] or "image"
