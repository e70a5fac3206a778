"""Which labelled set is open, a new one, and which of its sections."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.line import DEFECT_COLOURS, GOOD_COLOUR, DefectClass
from defectvision.people import Action, Person
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import LabelledSetRow
from defectvision.web.choices import readable_lines
from defectvision.web.label.sections import SECTIONS
from defectvision.web.new_line.naming import line_name
from defectvision.web.session.people import acting, lacking
from defectvision.words import plain

SET = "set"  # of the page's address: the number of the open set, or NEW
NEW = "new"
OWN = "Classes of its own"
KINDS = {"ok": "good part", "defect": "defect"}
MODES = {
    "multiclass": "one class an image",
    "multilabel": "any number of defects an image, none is good",
}


def choose_set(store: Store) -> LabelledSetRow | None:
    """The labelled set that is open; None where a new one is asked for, or there is none yet."""
    with store.reading() as session:
        known = {str(row.id): row for row in labelling.every_set(session)}
    if not known:
        return None
    asked = st.query_params.get(SET, "")
    if asked not in {*known, NEW}:
        asked = next(iter(known))
    titles = {**{number: row.title for number, row in known.items()}, NEW: "New labelled set"}
    with st.sidebar:
        st.session_state["labelled-set"] = asked
        chosen = st.selectbox(
            "Labelled set",
            list(titles),
            format_func=lambda number: titles[number],
            key="labelled-set",
            on_change=_opened,
            filter_mode=None,
        )
    return known.get(chosen)


def _opened() -> None:
    st.query_params[SET] = st.session_state["labelled-set"]


def section_of(row: LabelledSetRow) -> str:
    """Which section of the set is open."""
    return st.segmented_control(
        "What to do",
        list(SECTIONS),
        default=next(iter(SECTIONS)),
        required=True,
        key=f"label-section-{row.id}",
        persist_state="session",
        label_visibility="collapsed",
    )


def new_set(store: Store, person: Person) -> None:
    """The form of a new labelled set."""
    st.title("New labelled set")
    st.markdown(
        "Gather images of a part, say what each shows, draw where, and learn a bundle from them: "
        "all on this page."
    )
    if said := lacking(person, Action.TEACH):
        st.info(said, icon=":material/badge:")
        return
    lines = {line.name: line for line in readable_lines(st.container())}
    taught = st.selectbox(
        "Its classes",
        [OWN, *lines],
        format_func=lambda name: f"Those of {lines[name].title}" if name in lines else name,
        help="A set for a line that is in use has that line's classes; what is learned from it is "
        "another bundle of that line.",
        filter_mode=None,
    )
    title = st.text_input("Name", max_chars=80, placeholder="Pump housings")
    mode: str
    if taught in lines:
        classes, mode = list(lines[taught].classes), lines[taught].label_mode
        name = taught
    else:
        classes, mode = _own_classes()
        name = line_name(title)
        if name in lines:
            st.caption(f"There is a line `{name}`: choose its classes above, or give another name.")
    said = "" if title.strip() and name else "Give it a name first, with letters or digits in it."
    if st.button(
        "Make it", type="primary", icon=":material/add:", disabled=bool(said), help=said or None
    ):
        try:
            with store.session() as session:
                made = labelling.new_set(session, title, name, classes, mode, acting())
                number = made.id
        except StoreError as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        st.query_params[SET] = str(number)
        st.rerun()


def _own_classes() -> tuple[list[DefectClass], str]:
    """The classes that somebody writes down."""
    mode = st.radio(
        "Labels", list(MODES), format_func=lambda mode: MODES[mode].capitalize(), horizontal=True
    )
    single = mode == "multiclass"
    first = [{"Class": "Good", "What it is": KINDS["ok"]}] if single else []
    table = st.data_editor(
        [*first, {"Class": "Defect", "What it is": KINDS["defect"]}],
        num_rows="dynamic",
        hide_index=True,
        key=f"label-classes-{mode}",
        column_config={
            "Class": st.column_config.TextColumn(required=True, max_chars=60),
            "What it is": st.column_config.SelectboxColumn(
                options=list(KINDS.values()) if single else [KINDS["defect"]],
                required=True,
                default=KINDS["defect"],
            ),
        },
    )
    kinds = {words: kind for kind, words in KINDS.items()}
    classes, defects = [], 0
    for row in table:
        title = str(row.get("Class") or "").strip()
        if not title or not (name := line_name(title)):
            continue
        kind = kinds.get(str(row.get("What it is")), "defect")
        colour = GOOD_COLOUR if kind == "ok" else DEFECT_COLOURS[defects % len(DEFECT_COLOURS)]
        defects += kind == "defect"
        content = {"name": name, "title": title, "kind": kind, "colour": colour}
        classes.append(DefectClass.model_validate(content))
    return classes, mode
