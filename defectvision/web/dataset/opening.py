"""Choose and open a labelled set, with progress and time left."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from defectvision.audit.study import Study, study
from defectvision.data.catalog import CatalogError
from defectvision.data.roots import NotAllowedError, below_a_root, refuse_leading_out
from defectvision.settings import settings
from defectvision.web.dataset.picked import forget
from defectvision.words import plain

DRAWN, OWN = "Drawn samples", "Another folder or file"
PER_CLASS = 12  # drawn samples
OPENED = "dataset"  # key of the open study in the session


def open_controls() -> Study | None:
    """The widgets that open a set; the set that is open in this session."""
    sets = settings().data_sets
    chosen = st.selectbox(
        "Labelled set", [*sets, DRAWN, OWN], key="set", persist_state="session", filter_mode=None
    )
    text = _own_path() if chosen == OWN else "drawn"
    if st.button("Open", type="primary", icon=":material/folder_open:", disabled=not text):
        try:
            if chosen == OWN:
                roots = settings().source_roots
                found = below_a_root(Path(text), roots)
                refuse_leading_out(found, roots)
                _open(found)
            else:
                _open(sets[chosen] if chosen in sets else _drawn_samples())
        except NotAllowedError as error:
            st.error(
                plain(str(error)), title="The set was not opened", icon=":material/folder_off:"
            )
    opened = st.session_state.get(OPENED)
    return opened if isinstance(opened, Study) else None


def _own_path() -> str:
    """The path that was typed; empty, with the reason, where no folder may be read."""
    roots = settings().source_roots
    if not roots:
        st.info(
            "No folder of this server may be opened from a page. Whoever runs it names some in "
            '`DEFECTVISION_SOURCE_ROOTS`, for example `["/data"]`, or offers sets by name in '
            "`DEFECTVISION_DATA_SETS`. `defectvision data report` reads any folder.",
            icon=":material/folder_off:",
        )
        return ""
    return st.text_input(
        "Folder, index.csv or COCO file",
        key="set-path",
        persist_state="session",
        placeholder=str(roots[0] / "my-line"),
        help="A path on the machine that runs DefectVision, below "
        f"{', '.join(map(str, roots))}: a folder of class folders, an index.csv, COCO, YOLO, "
        "LabelMe or Pascal VOC annotations, Severstal's train.csv, or a published set as unpacked.",
    ).strip()


def _drawn_samples() -> Path:
    """A set of castings that the program draws, once for all."""
    folder = settings().cache / "drawn castings"
    if not folder.is_dir():
        from defectvision.data.synthetic.samples import write_samples

        settings().cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=settings().cache) as beside:
            write_samples("casting", Path(beside) / "drawn", PER_CLASS)
            (Path(beside) / "drawn").rename(folder)
    return folder


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
