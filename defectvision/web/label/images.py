"""The images of a labelled set: what is in it, and more of them."""

from __future__ import annotations

from collections.abc import Iterator

import streamlit as st

from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.inference.image_error import ImageError
from defectvision.inference.sources import Limits, clean_name, expand_uploads
from defectvision.people import Action, Person
from defectvision.settings import settings
from defectvision.store import labelling
from defectvision.store.batches import list_batches
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.labelling import Added, Given
from defectvision.store.tables import LabelledImageRow, LabelledSetRow
from defectvision.web.inspect.intake import FILE_TYPES
from defectvision.web.label.joining import (
    GoodPhotographs,
    add_good,
    add_reviewed,
    good_photographs,
)
from defectvision.web.new_line.form import runs_folder
from defectvision.web.session.people import acting, lacking
from defectvision.words import counted, plain

MOST = 5000  # files of one drop
WAITING, DROPS, SAID = "label-waiting", "label-drops", "label-said"


def images(store: Store, row: LabelledSetRow, person: Person) -> None:
    """How far the set is, all of its images, and ways to add more."""
    line = labelling.line_of_set(row)
    with store.reading() as session:
        rows = labelling.images_of(session, row.id)
        counts = labelling.count_labels(session, row.id)
    _take_in(store, row)
    _counts(line, rows, counts)
    if said := lacking(person, Action.TEACH):
        st.info(said, icon=":material/badge:")
    else:
        _more(store, row)
        _good_parts(store, row, {one.name for one in rows})
    if not rows:
        return
    _table(store, line, rows, person)


def _counts(line: Line, rows: list[LabelledImageRow], counts: dict[str, int]) -> None:
    with st.container(horizontal=True, key="label-counts"):
        st.metric("Images", f"{len(rows):,}", border=True)
        for one in line.classes:
            st.metric(plain(one.title), f"{counts.get(one.name, 0):,}", border=True)
        if line.label_mode == "multilabel":
            st.metric("No defect", f"{counts.get('', 0):,}", border=True)
        unlabelled = sum(one.labelled is None for one in rows)
        st.metric("Not labelled", f"{unlabelled:,}", border=True)
        st.metric(
            "Held back",
            f"{sum(one.held for one in rows):,}",
            border=True,
            help="Kept for measuring, and never learned from.",
        )


def _more(store: Store, row: LabelledSetRow) -> None:
    key = f"label-files-{st.session_state.setdefault(DROPS, 0)}"

    def dropped() -> None:
        files = st.session_state.get(key) or []
        st.session_state[WAITING] = [(file.name, file.getvalue()) for file in files]
        st.session_state[DROPS] += 1

    st.file_uploader(
        "Add images or zip files",
        type=FILE_TYPES,
        accept_multiple_files=True,
        max_upload_size=settings().max_upload_mb,
        key=key,
        on_change=dropped,
    )
    said: Added | None = st.session_state.pop(SAID, None)
    if said is not None:
        words = f"{counted(len(said.images), 'image was', 'images were')} added."
        if said.again:
            words += f" {counted(len(said.again), 'file was', 'files were')} in the set already."
        st.success(words, icon=":material/check:")
        if said.refused:
            with st.expander(
                counted(len(said.refused), "file was left out", "files were left out"),
                icon=":material/broken_image:",
                expanded=True,
            ):
                st.markdown("\n".join(f"- {plain(str(error))}" for error in said.refused[:100]))
    _reviewed(store, row)


def _reviewed(store: Store, row: LabelledSetRow) -> None:
    """Images of the same line that people decided on join with their labels."""
    with store.reading() as session:
        batches = {one.id: one.title for one in list_batches(session, row.line)}
    if not batches:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Reviewed images of a batch",
            list(batches),
            format_func=lambda number: f"{number} · {batches[number]}",
            filter_mode=None,
            help="Images on which those who decided agree, with what they said.",
        )
        if st.button("Add them", icon=":material/how_to_reg:"):
            limit = settings().limits.pixels
            st.session_state[SAID] = add_reviewed(store, row, chosen, limit, acting())
            st.rerun()


def _good_parts(store: Store, row: LabelledSetRow, there: set[str]) -> None:
    """What the line was learned from joins as good: what is learned from the set remembers the
    good parts of the set alone."""
    line = labelling.line_of_set(row)
    found = good_photographs(runs_folder(), row.line) if line.deviates else None
    if found is None or set(found.names.values()) <= there:
        return
    words = counted(len(found.names), "photograph")
    if st.button(
        f"Add the {words} of good parts that the line was learned from",
        icon=":material/inventory_2:",
        help="A bundle that is learned from this set remembers the good parts of this set alone.",
    ):
        st.session_state[SAID] = _add_good(store, row, found)
        st.rerun()


def _add_good(store: Store, row: LabelledSetRow, found: GoodPhotographs) -> Added:
    bar = st.progress(0.0, "Looking at the photographs")

    def advance(done: int, total: int) -> None:
        bar.progress(done / total, f"Looking at the photographs: {done:,} of {total:,}")

    return add_good(store, row, found, settings().limits.pixels, acting(), advance)


def _take_in(store: Store, row: LabelledSetRow) -> None:
    """Decode and keep what was dropped in, with progress."""
    waiting = st.session_state.pop(WAITING, None)
    if not waiting:
        return
    bar = st.progress(0.0, "Looking at the images")
    refused: list[ImageError] = []

    def files() -> Iterator[Given]:
        for done, upload in enumerate(expand_uploads(waiting, Limits(MOST)), 1):
            bar.progress(min(1.0, done / max(done, len(waiting))), f"Looking at the images: {done}")
            if upload.data is None:
                nothing = ImageError(upload.name, "is empty", "Save it again.")
                refused.append(upload.error or nothing)
                continue
            yield Given(clean_name(upload.name), upload.data)

    try:
        added = labelling.add_images(store, row.id, files(), settings().limits.pixels, acting())
    except (StoreError, OSError) as error:
        st.error(plain(str(error)), title="Not all images were kept", icon=":material/error:")
        return
    st.session_state[SAID] = Added(added.images, added.again, (*added.refused, *refused))
    st.rerun()


def _table(store: Store, line: Line, rows: list[LabelledImageRow], person: Person) -> None:
    shown = [
        {
            "Image": one.name,
            "Label": label_words(line, one),
            "Drawn": "yes" if one.masks else "",
            "Held back": "yes" if one.held else "",
            "Added by": one.who,
        }
        for one in rows
    ]
    found = st.dataframe(
        shown,
        hide_index=True,
        selection_mode="multi-row",
        on_select="rerun",
        key="label-images",
        height=min(420, 40 + 36 * len(shown)),
    )
    chosen = [rows[place].id for place in found.selection.rows if place < len(rows)]
    if chosen and not lacking(person, Action.TEACH):
        words = f"Take {counted(len(chosen), 'image')} out of the set"
        if st.button(words, icon=":material/delete:", help="What was said of them is kept."):
            with store.session() as session:
                labelling.remove_images(session, chosen, acting())
            st.rerun()


def label_words(line: Line, row: LabelledImageRow) -> str:
    """What an image is labelled with, as people read it."""
    if row.labelled is None:
        return "not labelled"
    return line.titles(label_names(row.label))
