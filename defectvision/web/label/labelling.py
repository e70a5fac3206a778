"""Image after image: what it shows, and where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.labels import DEVIATION, label_names
from defectvision.bundle.line import DEFECT_COLOURS, DefectClass, Line
from defectvision.inference.image_error import ImageError
from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.label_files import kept_masks
from defectvision.store.tables import LabelledImageRow, LabelledSetRow, LabelRow
from defectvision.web.label.canvas import Drawn, label_canvas
from defectvision.web.label.doubts import LabelDoubts, doubts_for
from defectvision.web.label.images import label_words
from defectvision.web.label.messages import Drawable, MessageError
from defectvision.web.label.suggestions import Suggestions, suggestions_for
from defectvision.web.new_line.naming import line_name
from defectvision.web.session.people import acting, lacking
from defectvision.web.viewer.pictures import Pictures
from defectvision.words import in_utc, plain

OPEN, QUEUE, REFUSED, PICTURES = "label-open", "label-queue", "label-refused", "label-pictures"
UNLABELLED, EVERY, DIFFER, DOUBTFUL = "Not labelled", "All", "People differ", "Most doubtful first"
WRONG, UNNAMED = "Probable errors", "Deviations to name"
MOST_SAID = 6
KEYS = "123456789"  # that choose the classes, in their order


def label_images(store: Store, row: LabelledSetRow, person: Person) -> None:
    """The open image on the canvas, what was said of it, and which come next."""
    if said := lacking(person, Action.DECIDE):
        st.info(said, icon=":material/badge:")
        return
    line = labelling.line_of_set(row)
    with store.reading() as session:
        rows = {one.id: one for one in labelling.images_of(session, row.id)}
    if not rows:
        st.info("Add images to the set first, in the section **Images**.", icon=":material/info:")
        return
    told, doubts = suggestions_for(row.line), doubts_for(row)
    labelled = sum(one.labelled is not None for one in rows.values())
    with st.container(horizontal=True, vertical_alignment="bottom", key="label-way"):
        queue = _queue(store, row, rows, told, doubts, line.deviates)
        st.progress(labelled / len(rows), f"{labelled:,} of {len(rows):,} images are labelled")
        if line.deviates and not lacking(person, Action.TEACH):
            _name_defect(store, row)
    number = st.session_state.get(OPEN)
    if number not in rows:
        number = queue[0] if queue else None
    wrong = _chosen(row) == WRONG
    if wrong and doubts is not None:
        st.caption(plain(doubts.about))
    if number is None:
        if wrong:
            st.success("No label stands out as wrong.", icon=":material/task_alt:")
            return
        words = "No image is left to label here."
        if line.deviates and any(one.label == DEVIATION for one in rows.values()):
            words += f" **{UNNAMED}** shows those that nobody has named."
        st.success(words, icon=":material/task_alt:")
        return
    if said := st.session_state.pop(REFUSED, ""):
        st.error(plain(said), title="That was not kept", icon=":material/error:")
    if wrong and doubts is not None and number in doubts.reasons:
        st.warning(plain(doubts.reasons[number]), icon=":material/rule:")
    _canvas(store, line, rows[number], queue, told)
    _history(store, line, rows[number])


def _chosen(row: LabelledSetRow) -> str:
    """Which images are gone through."""
    return str(st.session_state.get(f"label-which-{row.id}", UNLABELLED))


def _queue(
    store: Store,
    row: LabelledSetRow,
    rows: dict[int, LabelledImageRow],
    told: Suggestions | None,
    doubts: LabelDoubts | None,
    deviates: bool,
) -> list[int]:
    """Which images come, in their order: found when the choice changes, so that an image that is
    labelled keeps its place."""
    choices = [
        UNLABELLED,
        EVERY,
        *([UNNAMED] if deviates else []),
        DIFFER,
        *([DOUBTFUL] if told else []),
        *([WRONG] if doubts else []),
    ]
    chosen = st.segmented_control(
        "Which images",
        choices,
        default=UNLABELLED,
        required=True,
        key=f"label-which-{row.id}",
        persist_state="session",
        label_visibility="collapsed",
    )
    known = (row.id, chosen, len(rows))
    kept: tuple[object, list[int]] | None = st.session_state.get(QUEUE)
    if kept is not None and kept[0] == known and any(number in rows for number in kept[1]):
        return [number for number in kept[1] if number in rows]
    unlabelled = [number for number, one in rows.items() if one.labelled is None]
    if chosen == DIFFER:
        found = [number for number in labelling.agreement(store, row.id).differ if number in rows]
    elif chosen == UNNAMED:
        found = [number for number, one in rows.items() if one.label == DEVIATION]
    elif chosen == WRONG and doubts is not None:
        found = doubts.look(store, [one for one in rows.values() if one.labelled is not None])
    elif chosen == DOUBTFUL and told is not None:
        found = told.by_doubt(store, [rows[number] for number in unlabelled])
    else:
        found = unlabelled if chosen == UNLABELLED else list(rows)
    st.session_state[QUEUE] = (known, found)
    st.session_state.pop(OPEN, None)
    return found


def _name_defect(store: Store, row: LabelledSetRow) -> None:
    """A name for deviations that look alike."""
    key = f"label-new-name-{row.id}-{len(row.classes)}"  # it closes when a name was added
    with st.popover("Name a defect", icon=":material/new_label:", key=key):
        st.markdown(
            "Deviations that look alike get a name of their own, chosen by the next digit. What "
            f"has no name yet stays **{labelling.line_of_set(row).title_of(DEVIATION)}**."
        )
        field = f"{key}-field"
        with st.form(f"{key}-form", border=False):
            st.text_input("Name", key=field, max_chars=60, placeholder="Scratch")
            asked = store, row.id, field
            st.form_submit_button("Add the name", type="primary", on_click=_add_name, args=asked)


def _add_name(store: Store, number: int, field: str) -> None:
    """Before the page is drawn anew."""
    title = " ".join(st.session_state[field].split())
    if not (name := line_name(title)):
        st.session_state[REFUSED] = f"'{title}' has no letter from a to z or digit. Give another"
        return
    defect = {"name": name, "title": title, "kind": "defect", "colour": DEFECT_COLOURS[0]}
    try:
        with store.session() as session:
            labelling.add_class(session, number, DefectClass.model_validate(defect), acting())
    except (StoreError, NotAllowedError) as error:
        st.session_state[REFUSED] = str(error)


def _canvas(
    store: Store,
    line: Line,
    row: LabelledImageRow,
    queue: list[int],
    told: Suggestions | None,
) -> None:
    try:
        data = store.files.get(row.digest)
        pictures = st.session_state.setdefault(PICTURES, Pictures())
        picture = pictures.of(row.digest, data, settings().limits.pixels, None)
        masks = kept_masks(store.files, row.masks)
    except (StoreError, ImageError) as error:
        st.error(plain(str(error)), title=plain(row.name), icon=":material/broken_image:")
        st.button("Next image", on_click=_move, args=(queue, row.id, 1))
        return
    kept_names = label_names(row.label) if row.labelled is not None else ()
    suggested: dict[str, NDArray[np.bool_]] = {}
    if told is not None and not masks:
        suggested = told.masks(data, row, line)
        st.caption(plain(told.words(row.id)))
    classes = [
        Drawable(one.name, one.title, one.colour, KEYS[place : place + 1], one.kind == "ok")
        for place, one in enumerate(line.classes)
    ]
    label_canvas(
        key="label-canvas",
        digest=row.digest,
        picture=picture,
        image_size=(row.height, row.width),
        classes=classes,
        several=line.label_mode == "multilabel",
        drawable=bool(line.defect_names),
        names=kept_names,
        masks=masks,
        suggested=suggested,
        on_change=_keeper(store, line, row.id, queue),
        alt=f"Image {row.name} to label",
        version=f"{row.id}-{len(line.classes)}",
    )


def _keeper(store: Store, line: Line, image: int, queue: list[int]) -> Callable[[Drawn], None]:
    """Keeps what somebody says of an image, and goes on where they ask for it."""

    def keep(drawn: Drawn) -> None:
        nothing = line.label_mode == "multilabel" and drawn.step == "save"
        if drawn.names or nothing:
            try:
                with store.reading() as session:
                    rows = labelling.labels_of(session, image)
                if not rows or _is_new(store, rows[-1], drawn):
                    labelling.say(store, image, drawn.names, drawn.masks, acting())
            except (StoreError, NotAllowedError) as error:
                st.session_state[REFUSED] = str(error)
                raise MessageError(str(error)) from error
        if drawn.step:
            _move(queue, image, -1 if drawn.step == "previous" else 1)

    return keep


def _is_new(store: Store, last: LabelRow, drawn: Drawn) -> bool:
    """Whether it is more than what the same person said last."""
    if last.who != acting().kept_as or set(label_names(last.label)) != set(drawn.names):
        return True
    before = kept_masks(store.files, last.masks)
    if before.keys() != drawn.masks.keys():
        return True
    return any(not np.array_equal(before[name], drawn.masks[name]) for name in before)


def _move(queue: list[int], image: int, by: int) -> None:
    """Open the next or former image of the queue."""
    place = queue.index(image) + by if image in queue else 0
    if 0 <= place < len(queue):
        st.session_state[OPEN] = queue[place]
    elif by > 0:  # what was passed over comes again, and what was labelled does not
        st.session_state.pop(QUEUE, None)
        st.session_state.pop(OPEN, None)


def _history(store: Store, line: Line, row: LabelledImageRow) -> None:
    with store.reading() as session:
        said = labelling.labels_of(session, row.id)
    held = " · held back" if row.held else ""
    size = f"{row.width} × {row.height} px"
    st.caption(plain(f"{row.name} · {size} · {label_words(line, row)}{held}"))
    if not said:
        return
    with st.expander("Who said what", icon=":material/history:"):
        for one in reversed(said[-MOST_SAID:]):
            drawn = ", drawn" if one.masks else ""
            note = f" ({one.note})" if one.note else ""
            words = line.titles(label_names(one.label))
            st.caption(plain(f"{in_utc(one.at)} {one.who}: {words}{drawn}{note}"))
