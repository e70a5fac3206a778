"""What a person can decide on a part, on Results and Review alike."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.people import Action, NotAllowedError, Person
from defectvision.report.looks import LOOKS
from defectvision.store import reviews
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.web.links import floor_link, review_link
from defectvision.web.review.remembering import remember_stopped
from defectvision.web.session.people import acting, ready
from defectvision.words import plain

MOST_KEYS = 9  # classes that have a digit as their key


def decision_buttons(
    results: Results, stored: StoredInspection, policy: Policy, who: Person
) -> None:
    """Accept (A), reject (X) or a defect by its digit, no part or a bad picture (B), and a note."""
    line, off = results.line, not ready(who, Action.DECIDE) or bool(results.releases)
    if results.releases:
        st.caption("The lot is released: its decisions stand.")
    note = f"note-{stored.id}"

    def decide(verdict: Verdict, label: str) -> None:
        st.session_state.pop("asked-for", None)
        why = st.session_state.get(note, "")
        try:
            with results.store.session() as session:
                what = verdict.value, policy, label, why
                # Asked at the click: the page may be older than the person's role.
                reviews.decide(session, stored.id, acting(), *what)
        except (StoreError, NotAllowedError) as error:
            st.toast(plain(str(error)), icon=":material/error:")

    def button(verdict: Verdict, key: str, label: str, word: str = "", help: str = "") -> None:
        look = LOOKS[verdict]
        st.button(
            word or look.word,
            key=f"decide-{verdict.value}",
            icon=look.icon,
            shortcut=key,
            width="stretch",
            on_click=decide,
            args=(verdict, label),
            help=help or None,
            disabled=off,
        )

    good = next((c.name for c in line.classes if c.kind == "ok"), "")
    defects = [c for c in line.classes if c.kind == "defect"]
    with st.grid(2, gap="small", min_column_width=110):
        if line.can_accept:
            button(Verdict.ACCEPT, "A", good)
        button(
            Verdict.REJECT,
            "X",
            _guess(line, stored, policy),
            help="With the model's label; press a class below for another one.",
        )
    button(
        Verdict.UNUSABLE,
        "B",
        "",
        "Not a part, or a bad picture",
        "The part is counted neither as good nor as bad. Photograph it again.",
    )
    if len(defects) > 1:
        st.caption("Reject as")
        with st.container(horizontal=True, gap="small"):
            for place, about in enumerate(defects, 1):
                st.button(
                    plain(about.title),
                    key=f"reject-{about.name}",
                    shortcut=str(place) if place <= MOST_KEYS else None,
                    on_click=decide,
                    args=(Verdict.REJECT, about.name),
                    disabled=off,
                )
    st.text_input("Note", key=note, max_chars=500, placeholder="kept with the decision")


def decide_here(
    results: Results, loaded: LoadedBundle, stored: StoredInspection, policy: Policy, who: Person
) -> None:
    """Decide beside the table, or go to this part's review; where it is a good part that was
    stopped, it can be remembered."""
    with st.expander("Decide on this part", icon=":material/how_to_reg:", key="decide-here"):
        decision_buttons(results, stored, policy, who)
        with st.container(horizontal=True):
            review_link(results.batch.id, stored.id)
            floor_link(results.batch.id, stored.id)
    remember_stopped(results, loaded, who, stored.id)


def _guess(line: Line, stored: StoredInspection, policy: Policy) -> str:
    """The defects that the model names, else the most probable one."""
    defects = line.defect_names
    named = [name for name in stored.labels(policy) if name in defects]
    return SEPARATOR.join(named) or max(
        defects, key=lambda name: stored.probabilities[name], default=""
    )
