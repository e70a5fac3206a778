"""How far the set is that is being opened, and what can be done with it."""

from __future__ import annotations

import streamlit as st

from defectvision.audit.background import Look, Opening, State
from defectvision.audit.forecast import Step
from defectvision.audit.study import Stage, Study
from defectvision.web.dataset.charts import LATER
from defectvision.web.dataset.opening import open_again
from defectvision.web.dataset.picked import large_is_open
from defectvision.words import duration, plain

LOOK_SECONDS = 1.0
CANCEL_SECONDS = 2.0  # how long a click on Cancel waits until the work has ended

# The parts of the page, and what of the set must be known for each.
PARTS = {
    "Balance": Stage.LABELS,
    "Defects": Stage.PICTURES,
    "Pictures": Stage.PICTURES,
    "Near-copies": Stage.COPIES,
    "Shortcuts": Stage.COPIES,
    "Map": Stage.MAP,
}
WAITS = {
    Stage.PICTURES: "as soon as the pictures are read",
    Stage.MAP: "as soon as the pictures are read and described",
    Stage.COPIES: "at the end, when the pictures are compared with one another",
}


def follow(opening: Opening, look: Look) -> None:
    """What stands above the parts until all of them are there: how far the work is, or why it
    ended before."""
    if look.state is State.RUNNING:
        st.fragment(_running, run_every=LOOK_SECONDS)(opening, look)
    elif look.state is State.FAILED:
        title = "Not all of the set was measured" if look.study else "The set was not opened"
        st.error(plain(look.problem), title=title, icon=":material/error:")
        st.button("Try again", icon=":material/refresh:", on_click=open_again, args=(opening,))
    elif look.state is State.CANCELLED:
        st.info(
            "Cancelled. What was ready by then is shown, and nothing of it is measured again.",
            icon=":material/cancel:",
        )
        st.button("Go on", icon=":material/play_arrow:", on_click=open_again, args=(opening,))


def chosen_part(look: Look) -> str | None:
    """The part of the page that was chosen; None where it is not there yet, which is said then."""
    stage = look.study.stage if look.study else None

    def ready(part: str) -> bool:
        return stage is not None and stage >= PARTS[part]

    def name_of(part: str) -> str:
        return part if ready(part) or look.state is not State.RUNNING else f"{part} {LATER}"

    part = st.segmented_control(
        "Part",
        list(PARTS),
        format_func=name_of,
        default="Balance",
        required=True,
        key="part",
        persist_state="session",
        label_visibility="collapsed",
        wrap=True,
    )
    if part is None or ready(part):
        return part
    if look.state is State.RUNNING:
        st.info(f"{part}: shown {WAITS[PARTS[part]]}.", icon=LATER)
    else:
        st.info(f"{part}: not measured, as the work ended before.", icon=":material/info:")
    return None


def regions_later(study: Study) -> str:
    """What stands in Balance for the chart of the regions until they are measured."""
    if study.stage >= Stage.PICTURES or not study.image_set.has_masks:
        return ""
    return f"Defect regions per class: shown {WAITS[Stage.PICTURES]}."


def _running(opening: Opening, shown: Look) -> None:
    look = opening.now
    with st.container(key="set-progress", horizontal=True, vertical_alignment="bottom"):
        st.progress(_share(look), _in_words(look))
        st.button(
            "Cancel",
            icon=":material/close:",
            on_click=_cancel,
            args=(opening,),
            disabled=look.state is not State.RUNNING,
            help="What was measured so far is kept.",
        )
    # A run of the whole page closes its dialog for a moment. It comes when that is closed.
    # After the bar: drawing lets a visit to another page go first, and a run that is asked for
    # while such a visit waits would lead back here.
    if look.section != shown.section and not large_is_open():
        st.rerun()


def _cancel(opening: Opening) -> None:
    opening.cancel()
    opening.ended.wait(CANCEL_SECONDS)


def _share(look: Look) -> float:
    if look.state is State.DONE:
        return 1.0
    return look.progress.share if look.progress else 0.0


def _in_words(look: Look) -> str:
    """The step, how far it is, and the time that is left for all of them."""
    progress = look.progress
    if look.state is not State.RUNNING:
        return "Finished" if look.state is State.DONE else "Ended early"
    if progress is None:
        if look.study is None:
            return "Reading the labels"
        return "Waiting until another set is measured" if look.queued else "Starting"
    if progress.step is Step.WAIT:
        return str(progress.step)
    words = f"{progress.step}: {progress.done:,} of {progress.total:,}"
    return words if look.left is None else f"{words} · about {duration(look.left)} left"
