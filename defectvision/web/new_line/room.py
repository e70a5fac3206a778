"""The part of the Lines page that makes a line from photographs of good parts."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from defectvision.people import Action, Person
from defectvision.store.database import Store
from defectvision.web.links import ALL, FORM, NEW_LINE, PAGES, line_address
from defectvision.web.new_line.form import form, runs_folder
from defectvision.web.new_line.outcome import outcome
from defectvision.web.new_line.progress import ended_early, follow, heading
from defectvision.web.new_line.runs import Look, Run, State, every_run, find_run
from defectvision.web.new_line.training import look_at
from defectvision.web.new_line.words import said_of
from defectvision.web.session.people import acting, lacking, who
from defectvision.web.session.store import the_store
from defectvision.words import in_utc, plain

TITLE = "New line from good parts"
MOST_LISTED = 8
ICONS = {
    State.RUNNING: ":material/hourglass_top:",
    State.CUT_OFF: ":material/power_off:",
    State.DONE: ":material/check_circle:",
    State.REFUSED: ":material/error:",
    State.FAILED: ":material/error:",
    State.CANCELLED: ":material/cancel:",
}


def new_line(asked: str) -> None:
    """The form, or the run that the page's address asks for, as far as it is."""
    notices = st.container()
    store = the_store(notices)
    with st.sidebar:
        person = who()
    with st.container(horizontal=True, vertical_alignment="center"):
        run = find_run(runs_folder(), asked)
        labelled = _labelled_set(run)
        st.title(TITLE if labelled is None else "New bundle from labelled images", width="stretch")
        if labelled is not None:
            st.page_link(
                PAGES / "label.py",
                label="Labelled set",
                icon=":material/label:",
                query_params={"set": str(labelled)},
            )
        st.button("All lines", key=ALL, icon=":material/arrow_back:", on_click=_back, args=(run,))
    if store is None:
        return
    if run is None and asked != FORM:
        st.info("This run was removed. A line that it made is among the others.")
    look = look_at(run) if run else Look(State.DRAFT)
    if run is None or look.state is State.DRAFT:
        if said := lacking(person, Action.TEACH, named=False):
            st.info(said, icon=":material/badge:")
        else:
            st.markdown(
                "For a part of which there are good ones and hardly any defects: what is not like "
                "the good ones is stopped, and shown where it differs."
            )
            form(run, store, person)
        _earlier(store, person)
        return
    heading(look)
    if look.state is State.RUNNING:
        follow(run)
    elif look.state is State.DONE and look.outcome is not None:
        outcome(run, look, store, person)
    else:
        ended_early(run, look, store, person)


def _labelled_set(run: Run | None) -> int | None:
    """The number of the labelled set that a run learns from; None for photographs of good parts."""
    order = run.order() if run else None
    return order.labelled_set if order else None


def new_line_notice() -> None:
    """On the page of all lines: the way to the form, and to a run that waits for somebody."""
    if acting().may(Action.TEACH):
        _way(FORM, TITLE, ":material/add_photo_alternate:")
    for run in every_run(runs_folder()):
        look = look_at(run)
        if look.order is not None and look.state in (State.RUNNING, State.CUT_OFF):
            _way(run.id, said_of(look), ICONS[look.state])


def _earlier(store: Store, person: Person) -> None:
    """The runs that somebody started, the newest first."""
    looks = [(run, look_at(run)) for run in every_run(runs_folder())]
    shown = [(run, look) for run, look in looks if look.order is not None][:MOST_LISTED]
    if not shown:
        return
    st.markdown("**Started before**")
    with st.container(gap=None, key="new-line-earlier"):
        for run, look in shown:
            assert look.order is not None
            started = in_utc(look.order.started)
            words = f"{said_of(look)} · {look.order.who}, {started}"
            _way(run.id, words, ICONS[look.state], "tertiary")


def _way(
    to: str, words: str, icon: str, type: Literal["secondary", "tertiary"] = "secondary"
) -> None:
    """A button to the form, or to a run. No link: one to the page that is open leads nowhere."""
    st.button(plain(words), key=f"way-{to}", icon=icon, type=type, on_click=_go, args=(to,))


def _go(to: str) -> None:
    st.query_params[NEW_LINE] = to


def _back(run: Run | None) -> None:
    """To the line that a run made, or else to the one that was chosen before."""
    made = look_at(run).outcome if run else None
    st.query_params.from_dict(line_address(made.line) if made else {})
