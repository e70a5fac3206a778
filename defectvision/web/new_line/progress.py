"""How far a run is, and what can be done with one that ended early."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.web.links import FORM, NEW_LINE
from defectvision.web.new_line.form import empty_form, fill_form
from defectvision.web.new_line.learning import how_it_learned, learning
from defectvision.web.new_line.photographs import by_names
from defectvision.web.new_line.runs import Look, Run, State
from defectvision.web.new_line.training import (
    TrainingError,
    cancel,
    change,
    go_on,
    look_at,
    remove,
)
from defectvision.web.session.people import acting
from defectvision.words import capital, counted, duration, in_utc, plain

LOOK_SECONDS = 1.0
CANCEL_SECONDS = 5.0  # how long a click on Cancel waits until the work has ended


def heading(look: Look) -> None:
    """Which line, from what, and who started it."""
    order = look.order
    if order is None:
        return
    st.subheader(plain(order.title))
    source = f"in {order.folder}" if order.folder else "uploaded"
    said = f"{counted(order.photographs, 'photograph')} of good parts {source}"
    if order.labelled_set is not None:
        said = f"Bundle {order.bundle} from {counted(order.photographs, 'labelled image')}"
    started = in_utc(order.started)
    st.caption(plain(f"{said}; started by {order.who}, {started}"))


def follow(run: Run) -> None:
    """The step, how far it is and the time that is left, each second anew."""
    st.fragment(_running, run_every=LOOK_SECONDS)(run)


def _running(run: Run) -> None:
    look = look_at(run)
    with st.container(key="new-line-progress", horizontal=True, vertical_alignment="bottom"):
        st.progress(look.told.share if look.told else 0.0, in_words(look))
        st.button(
            "Cancel",
            icon=":material/close:",
            on_click=asked,
            args=(lambda: cancel(run, acting()).wait(CANCEL_SECONDS),),
            disabled=look.state is not State.RUNNING or not acting().may(Action.TEACH),
            help="What was done so far is kept.",
        )
    st.caption("It goes on when this page is closed; open **Lines** again to see how far it is.")
    learning(run)
    # After the bar: drawing lets a visit to another page go first.
    if look.state is not State.RUNNING:
        st.rerun()


def in_words(look: Look) -> str:
    """ "Finding near-copies: 12 of 30 · about 3 min left of this step" """
    if look.state is not State.RUNNING:
        return "Finished" if look.state is State.DONE else "Ended early"
    told = look.told
    if told is None:
        return "Starting"
    words = plain(capital(told.step))
    if told.total:
        words += f": {told.done:,} of {told.total:,}"
    return (
        words if look.left is None else f"{words} · about {duration(look.left)} left of this step"
    )


def ended_early(run: Run, look: Look, store: Store, person: Person) -> None:
    """Why it ended before there was a line, and what to do."""
    again = "Go on"
    if look.state is State.CUT_OFF:
        st.warning(
            "The server ended while this line was learned. What was done by then is kept.",
            title="Cut off",
            icon=":material/power_off:",
        )
    elif look.state is State.CANCELLED:
        st.info("What was done by then is kept.", title="Cancelled", icon=":material/cancel:")
    elif look.state is State.REFUSED:
        again = ""
        words = by_names(run, look.words)
        st.error(plain(words), title="No line was made", icon=":material/error:")
    else:
        again = "Try again"
        words = by_names(run, look.words) or "What the program found cannot be read. Try again."
        st.error(plain(words), title="No line was made", icon=":material/error:")
    with st.container(horizontal=True):
        if not person.may(Action.TEACH):
            st.caption(plain(f"{person.refusal(Action.TEACH)}."))
        else:
            if again:
                st.button(
                    again,
                    type="primary",
                    icon=":material/play_arrow:",
                    on_click=asked,
                    args=(lambda: go_on(store, run, settings().weights, acting()),),
                )
            if look.order is not None and look.order.labelled_set is None:
                change_button(run, first=not again)
            remove_button(run)
        log_button(run)
    how_it_learned(run)


def change_button(run: Run, first: bool = False) -> None:
    """Back to the form, with the title and the photographs of the run."""

    def back() -> None:
        order = run.order()
        change(run, acting())
        if order is not None:
            fill_form(order)

    st.button(
        "Change and start again",
        type="primary" if first else "secondary",
        icon=":material/edit:",
        on_click=asked,
        args=(back,),
        help="Back to the form, with these photographs.",
    )


def remove_button(run: Run) -> None:
    """Forget the run and its photographs."""

    def forget() -> None:
        remove(run, acting())
        empty_form()
        st.query_params[NEW_LINE] = FORM

    st.button(
        "Remove",
        icon=":material/delete:",
        on_click=asked,
        args=(forget,),
        help="Removes this run from the server with its uploaded photographs and its log. A line "
        "that was learned stays.",
    )


def log_button(run: Run) -> None:
    """What the program said, as a file."""
    if run.log.is_file() and run.log.stat().st_size:
        st.download_button(
            "Log",
            lambda: by_names(run, run.log.read_text(encoding="utf-8", errors="replace")),
            f"{run.id}.log.txt",
            "text/plain",
            icon=":material/description:",
            on_click="ignore",
        )


def asked(act: Callable[[], object]) -> None:
    """Do what was clicked; where that cannot be, say why."""
    try:
        act()
    except (TrainingError, NotAllowedError, OSError) as error:
        st.toast(plain(str(error)), icon=":material/info:")
