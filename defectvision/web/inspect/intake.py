"""How images come in: files, archives, the camera, drawn samples."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from time import perf_counter

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.schema import LoadedBundle
from defectvision.data.image_names import IMAGE_SUFFIXES
from defectvision.inference.sources import ARCHIVE_SUFFIXES
from defectvision.people import Action, Person, needs
from defectvision.report.looks import NOT_INSPECTED
from defectvision.settings import settings
from defectvision.web.session.images import Result
from defectvision.web.session.work import Work
from defectvision.words import counted, duration, plain

MOST_ERRORS = 2  # shown in full; the table has them all
SAMPLES = 6  # drawn at a time, about as many of each class
# Those that data.synthetic can draw.
DRAWN_LINES = frozenset({"casting", "neu-surface", "magnetic-tile", "severstal-strip"})
FILE_TYPES = sorted(s.lstrip(".") for s in IMAGE_SUFFIXES | (ARCHIVE_SUFFIXES & {".zip"}))


def intake(work: Work, line: Line) -> None:
    """The widgets; what they bring is queued, and inspected by `inspect_pending`."""
    name = line.name
    file_place(work, name, "Images or zip files", "upload")
    with st.container(horizontal=True):
        if name in DRAWN_LINES:
            st.button(
                "Try samples",
                icon=":material/science:",
                help="Adds images that the program draws. They are not photographs of parts and "
                "are marked as synthetic everywhere.",
                on_click=_draw_samples,
                args=(work, line),
            )
        if work.images.entries.get(name) or work.images.waiting.get(name):
            st.button(
                "Clear",
                icon=":material/delete_sweep:",
                help="Forget the images of this line in this session.",
                on_click=work.clear,
                args=(name,),
            )
    if st.toggle("Use a camera", key="camera", persist_state="session"):
        st.camera_input(
            "Camera picture",
            key="camera-picture",
            label_visibility="collapsed",
            resolution="1080p",
            on_change=_take_picture,
            args=(work, name),
        )


def file_place(work: Work, line: str, label: str, place: str) -> None:
    """Where files are dropped; there may be several of them, each a `place` of the page."""
    # A fresh uploader after each drop: the table is the one list of images.
    turn = st.session_state.setdefault("uploads", 0)
    key = f"{place}-{turn}"
    st.file_uploader(
        label,
        type=FILE_TYPES,
        accept_multiple_files=True,
        max_upload_size=settings().max_upload_mb,
        key=key,
        on_change=_take_files,
        args=(work, line, key),
    )


@needs(Action.INSPECT)
def inspect_pending(work: Work, loaded: LoadedBundle, who: Person) -> bool:
    """Open and inspect what waits, with progress; broken off by the next click, it goes on.
    Returns whether there was anything to do."""
    line, images = loaded.line.name, work.images
    if not images.unfinished(line, loaded.version):
        return False
    with st.container(key="progress"):
        bar = st.progress(0.0, "Opening files")
        for count in images.take_in(line):
            bar.progress(0.0, f"Opening files: {counted(count, 'image')}")
        total = len(images.pending(line, loaded.version))
        if total:
            from defectvision.inference.inspector import inspector_of

            bar.progress(0.0, plain(f"Loading the model of {loaded.bundle.name}"))
            model = inspector_of(loaded, settings().limits)
            started = perf_counter()
            for done in images.inspect(line, model, work.pictures):
                left = (perf_counter() - started) / done * (total - done)
                ahead = f", about {duration(left)} left" if left >= 1 else ""
                bar.progress(done / total, f"Inspected {done} of {total}{ahead}")
    return True


def upload_errors(results: Sequence[Result]) -> None:
    """One message for each file that could not be inspected: which, why, what to do."""
    errors = [r.error for r in results if r.error is not None]
    with st.container(key="errors"):
        for error in errors[-MOST_ERRORS:]:
            st.error(
                plain(f"{error.reason}. {error.remedy}"),
                title=plain(error.name),
                icon=NOT_INSPECTED.icon,
            )
        if len(errors) > MOST_ERRORS:
            more = len(errors) - MOST_ERRORS
            said = counted(more, "more file was not inspected", "more files were not inspected")
            st.caption(f"{said}; see the table.")


def files_passed_over(work: Work, line: str) -> None:
    """How many files of the archives that were dropped in are no images."""
    passed_over = work.images.passed_over.get(line)
    if passed_over:
        st.caption(plain(passed_over.words))


def _take_files(work: Work, line: str, key: str) -> None:
    files = st.session_state.get(key) or []
    work.images.queue(line, [(file.name, file.getvalue()) for file in files])
    if files:
        st.session_state["uploads"] += 1


def _take_picture(work: Work, line: str) -> None:
    picture = st.session_state.get("camera-picture")
    if picture is not None:
        name = datetime.now().strftime("camera %Y-%m-%d %H.%M.%S.jpg")
        work.images.queue(line, [(name, picture.getvalue())])


def _draw_samples(work: Work, line: Line) -> None:
    work.sample_seed += 1
    drawn = drawn_samples(line.name, max(1, SAMPLES // len(line.classes)), work.sample_seed)
    work.images.queue(line.name, [(name, data) for _, name, data in drawn])


def drawn_samples(line: str, per_class: int, seed: int) -> list[tuple[str, str, bytes]]:
    """(label, file name, content) of images that the program draws, class by class."""
    from defectvision.data.synthetic.samples import write_samples

    with tempfile.TemporaryDirectory() as folder:
        table = (catalog := write_samples(line, Path(folder) / "drawn", per_class, seed)).table
        files = [catalog.root / path for path in table["path"]]
        labels = table["label"].tolist()
        return [
            (label, f"synthetic_{file.name}", file.read_bytes())
            for label, file in zip(labels, files, strict=True)
        ]
