"""An evaluation that is worked on, or that came to nothing."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from defectvision.batch.evaluation_start import start_again
from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import State, cancel, get_evaluation, state_of
from defectvision.web.evaluate.opening import row_of
from defectvision.web.session.people import acting
from defectvision.words import plain

LOOK_SECONDS = 1.0
ENDED = {
    State.FAILED: ("Not evaluated", st.error, ":material/error:"),
    State.CANCELLED: ("Cancelled", st.info, ":material/cancel:"),
    State.INTERRUPTED: ("Interrupted", st.warning, ":material/power_off:"),
}
INTERRUPTED = "Whoever worked on it has not been heard of for some time, as when a server ends."


def follow(store: Store, number: int) -> None:
    """How far it is, each second anew."""
    st.fragment(_running, run_every=LOOK_SECONDS)(store, number)


def _running(store: Store, number: int) -> None:
    try:
        with store.reading() as session:
            row = get_evaluation(session, number)
            state = state_of(session, row)
    except StoreError:  # deleted meanwhile
        st.rerun()
    share = row.done / row.total if row.total else 0.0
    words = f"Inspecting: {row.done:,} of {row.total:,}" if row.total else "Looking for near-copies"
    with st.container(key="evaluation-progress", horizontal=True, vertical_alignment="bottom"):
        st.progress(min(1.0, share), words if state is State.RUNNING else "Finished")
        st.button(
            "Cancel",
            icon=":material/close:",
            on_click=_act,
            args=(lambda: _cancel(store, number),),
            disabled=state is not State.RUNNING or not acting().may(Action.TEACH),
        )
    st.caption("It goes on when this page is closed; open **Evaluate** again to see how far it is.")
    # After the bar: drawing lets a visit to another page go first.
    if state is not State.RUNNING:
        st.rerun()


def ended_early(store: Store, number: int, state: State, person: Person) -> None:
    """Why there is nothing to show, and what to do."""
    row = row_of(store, number)
    if row is None:
        return
    title, box, icon = ENDED[state]
    box(plain(row.message or INTERRUPTED), title=title, icon=icon)
    if person.may(Action.TEACH):
        st.button(
            "Evaluate again",
            type="primary",
            icon=":material/refresh:",
            on_click=_act,
            args=(lambda: start_again(store, settings().weights, number, acting()),),
        )


def _cancel(store: Store, number: int) -> None:
    with store.session() as session:
        cancel(session, number, acting())


def _act(what: Callable[[], None]) -> None:
    try:
        what()
    except (StoreError, NotAllowedError, OSError) as error:
        st.toast(plain(str(error)), icon=":material/info:")
