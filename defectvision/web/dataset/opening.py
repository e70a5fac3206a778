"""Choose and open a labelled set, with progress and time left."""

from __future__ import annotations

import time
from pathlib import Path

import streamlit as st

from defectvision.audit.study import Study, study
from defectvision.data.catalog import CatalogError
from defectvision.settings import settings
from defectvision.web.dataset.picked import forget
from defectvision.words import plain

OWN = "Another folder or file"
OPENED = "dataset"  # key of the open study in the session


def open_controls() -> Study | None:
    """The widgets that open a set; the set that is open in this session."""
    sets = settings().data_sets
    chosen = OWN
    if sets:
        chosen = st.selectbox("Labelled set", [*sets, OWN], key="set", persist_state="session")
    path = str(sets[chosen]) if chosen in sets else ""
    if chosen == OWN:
        path = st.text_input(
            "Folder, index.csv or COCO file",
            key="set-path",
            persist_state="session",
            placeholder="/data/my-line",
            help="A path on the machine that runs DefectVision: a folder of class folders, an "
            "index.csv, a COCO file, YOLO, LabelMe or Pascal VOC annotations with their images, "
            "Severstal's train.csv, or a published set as unpacked.",
        )
    if st.button("Open", type="primary", icon=":material/folder_open:", disabled=not path.strip()):
        _open(Path(path.strip()))
    opened = st.session_state.get(OPENED)
    return opened if isinstance(opened, Study) else None


def _open(path: Path) -> None:
    bar = st.progress(0.0, "Opening")
    clock = _Clock()

    def advance(step: str, done: int, total: int) -> None:
        share = min(1.0, done / max(1, total))
        bar.progress(share, f"{step}: {done:,} of {total:,}{clock.left(step, share)}")

    try:
        opened = study(path, settings().cache, settings().limits.pixels, advance)
    except CatalogError as error:
        bar.empty()
        st.error(plain(str(error)), icon=":material/error:")
        return
    except OSError as error:
        bar.empty()
        st.error(plain(f"{path}: {error.strerror or error}"), icon=":material/error:")
        return
    bar.empty()
    forget()
    st.session_state[OPENED] = opened


class _Clock:
    """Time left of the step that runs, from its share that is done."""

    def __init__(self) -> None:
        self.step, self.started = "", 0.0

    def left(self, step: str, share: float) -> str:
        now = time.monotonic()
        if step != self.step:
            self.step, self.started = step, now
        if share <= 0 or now - self.started < 1:
            return ""
        seconds = (now - self.started) / share * (1 - share)
        return (
            f", about {seconds:.0f} s left"
            if seconds < 90
            else (f", about {seconds / 60:.0f} min left")
        )
