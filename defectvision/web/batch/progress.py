"""How far a batch is, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from defectvision.batch.holder import has_ended, machine_of
from defectvision.inference.passed_over import PassedOver
from defectvision.people import Action, NotAllowedError, Person
from defectvision.store import batches
from defectvision.store.batches import ACTIVE, ENDED, Counts, Engine, State
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.releases import releases_of
from defectvision.store.retention import delete_batch
from defectvision.store.sources import WatchedFolder
from defectvision.store.tables import BatchRow
from defectvision.web.batch.again import inspect_again
from defectvision.web.links import changes_link, results_link
from defectvision.web.session.people import acting, lacking_reason, ready
from defectvision.words import counted, duration, plain

STATES = {
    State.RUNNING: (":material/play_circle:", "blue"),
    State.WATCHING: (":material/visibility:", "blue"),
    State.PAUSED: (":material/pause_circle:", "orange"),
    State.CANCELLED: (":material/cancel:", "gray"),
    State.FAILED: (":material/error:", "red"),
    State.DONE: (":material/check_circle:", "green"),
}

GOES_ON = "`defectvision work --engine ray` goes on with it"


def progress(store: Store, batch: BatchRow, counts: Counts, who: Person) -> None:
    """How far a batch is, what it takes, and what can be done with it."""
    number, state = batch.id, State(batch.state)
    icon, colour = STATES[state]
    with st.container(border=True, key="batch-progress"):
        st.markdown(f"#### {plain(batch.title)}")
        st.markdown(f":{colour}[{icon} **{state.capitalize()}**] · {_said(batch, counts)}")
        if counts.total and state != State.WATCHING:
            st.progress((counts.done + counts.failed) / counts.total)
        if batch.passed_over:
            st.caption(plain(PassedOver(batch.passed_over).words))
        if batch.engine == Engine.RAY and state not in ENDED:
            st.caption(_on_ray(batch))
        if batch.message:
            st.warning(plain(batch.message), icon=":material/info:")
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            for label, to, symbol in (
                ("Pause", State.PAUSED, ":material/pause:"),
                ("Resume", State.RUNNING, ":material/play_arrow:"),
                ("Finish", State.DONE, ":material/done_all:"),
                ("Cancel", State.CANCELLED, ":material/close:"),
            ):
                can = state != State.FAILED or counts.waiting
                if state in batches.MOVES[to] and can:
                    st.button(
                        label,
                        key=f"batch-{label}",
                        icon=symbol,
                        disabled=not who.may(Action.BATCH),
                        on_click=_move,
                        args=(store, number, to),
                    )
            if counts.done:
                results_link(number)
                changes_link(store, batch)
            if state in ENDED:
                inspect_again(store, batch, who)
                with st.popover("Delete", icon=":material/delete:"):
                    _delete_form(store, number, who)


def _said(batch: BatchRow, counts: Counts) -> str:
    """Progress in words: images, images per second, time left."""
    words = [f"{counts.done + counts.failed:,} of {counted(counts.total, 'image')}"]
    if not batch.listed and batch.state in ACTIVE and not isinstance(batch.source, WatchedFolder):
        words[0] += ", still listing"
    if counts.failed:
        words.append(f"{counts.failed:,} failed")
    if counts.repeated:
        words.append(f"{counts.repeated:,} the same file as another")
    done = counts.done + counts.failed
    if done and batch.seconds > 0:
        rate = done / batch.seconds
        words.append(f"{rate:,.1f} images/s")
        if batch.state == State.RUNNING and counts.waiting:
            words.append(f"about {duration(counts.waiting / rate)} left")
    return " · ".join(words)


def _on_ray(batch: BatchRow) -> str:
    """Whose command has a Ray cluster inspect a batch, and what does where none has."""
    if batch.state not in ACTIVE:
        return f"For a Ray cluster: once it is resumed, {GOES_ON}."
    # Nobody holds it for a moment, too, while what the message names is waited for.
    if has_ended(batch.holder) if batch.holder else not batch.message:
        return f"No Ray cluster inspects it now: {GOES_ON}."
    said = "Inspected by a Ray cluster"
    if batch.holder:
        said += f"; its command runs on {plain(machine_of(batch.holder))}"
    return f"{said}. Should that end, {GOES_ON}."


def _move(store: Store, number: int, to: State) -> None:
    try:
        with store.session() as session:
            batches.move(session, number, to, acting())
    except (StoreError, NotAllowedError) as error:  # somebody else was faster
        st.toast(plain(str(error)), icon=":material/info:")


def _delete_form(store: Store, number: int, who: Person) -> None:
    """Asks for the reason, and of a released lot twice."""
    st.markdown(
        "Removes the batch with its scores and reviews, and 7 days later its pictures. Its number "
        "stays used."
    )
    with store.reading() as session:
        versions = releases_of(session, number)
    released_too = False
    if versions:
        st.warning(f"The lot was released by {plain(versions[0].who)}.")
        released_too = st.checkbox("Delete its releases and their reports as well")
    why = st.text_input("Reason", key=f"delete-reason-{number}", max_chars=500)
    ready(who, Action.DELETE)
    said = lacking_reason(who, Action.DELETE, why)
    if versions and not released_too:
        said = said or "Say above that its releases and reports go, too."
    st.button(
        "Delete the batch",
        type="primary",
        disabled=bool(said),
        help=said or None,
        on_click=_delete,
        args=(store, number, why, released_too),
    )


def _delete(store: Store, number: int, why: str, released_too: bool) -> None:
    try:
        with store.session() as session:
            delete_batch(session, number, acting(), why, released_too)
    except (StoreError, NotAllowedError) as error:
        st.toast(plain(str(error)), icon=":material/info:")
    st.session_state.pop("followed", None)
