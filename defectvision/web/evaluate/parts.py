"""The parts of the page, and the policy that all of them follow."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.bundle.policy import Policy
from defectvision.evaluation.kept import Kept
from defectvision.people import Person
from defectvision.store.database import Store
from defectvision.web.evaluate.opening import Opened
from defectvision.web.evaluate.views import MISTAKES, PART
from defectvision.web.policy.controls import policy_controls, save_policy
from defectvision.web.policy.what_if import what_if
from defectvision.web.session.store import read_policy_in_force
from defectvision.web.session.work import Work

OPERATING_POINT = "Operating point"
PARTS = (
    OPERATING_POINT,
    MISTAKES,
    "Curves",
    "Classes and defects",
    "Photo groups",
    "Comparison",
)


def judged_by(
    work: Work, store: Store, opened: Opened, person: Person, notices: DeltaGenerator
) -> Policy:
    """The session's policy of the bundle, with what moves and saves it beside the page; that of the
    evaluation where the bundle is another one by now."""
    loaded = opened.loaded
    if loaded is None or not opened.same_bundle:
        return opened.every.about.policy
    if read_policy_in_force(work, loaded, notices) is None:
        st.stop()
    with st.sidebar:
        policy = policy_controls(work, loaded)
        save_policy(work, store, loaded, policy, person)
    what_if(work, loaded, policy)
    return policy


def chosen_part(kept: Kept) -> str | None:
    """The part that is shown; a line that cannot accept has no thresholds to choose."""
    parts = [part for part in PARTS if part != OPERATING_POINT or kept.line.can_accept]
    if st.session_state.get(PART) not in parts:
        st.session_state[PART] = parts[0]
    return st.segmented_control(
        "Part",
        parts,
        required=True,
        key=PART,
        persist_state="session",
        label_visibility="collapsed",
        wrap=True,
    )
