"""The choice of line and bundle, and the two thresholds of the policy in force."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.inference.bundle import BundleError, Line, LoadedBundle
from defectvision.inference.policy import Policy
from defectvision.web.bundles import bundle_names, find_lines, loaded_bundle
from defectvision.web.cards import plain
from defectvision.web.state import Work

STEP = 0.005


def choose_line(notices: DeltaGenerator) -> Line | None:
    """The line to inspect; None, with a word in `notices` on what to do, where there is none."""
    lines, problems = find_lines()
    for problem in problems:
        notices.error(plain(problem), title="A line cannot be read", icon=":material/error:")
    if not lines:
        notices.info(
            "Put a line's folder into `weights/`, or train one with `defectvision train`.",
            title="There is no line yet",
            icon=":material/info:",
        )
        return None
    titles = {line.name: line for line in lines}
    name = st.selectbox(
        "Line",
        list(titles),
        format_func=lambda name: titles[name].title,
        key="line",
        persist_state="session",
        filter_mode=None,
    )
    return titles[name]


def choose_bundle(line: Line, notices: DeltaGenerator) -> LoadedBundle | None:
    """The bundle to inspect with; asked only where the line has several. None, with the reason in
    `notices`, where it cannot be used."""
    names = bundle_names(line.name)
    bundle = names[0] if names else line.default_bundle
    if len(names) > 1:
        bundle = st.selectbox(
            "Bundle",
            names,
            format_func=lambda name: f"{name} (default)" if name == line.default_bundle else name,
            key=f"bundle-{line.name}",
            persist_state="session",
            filter_mode=None,
        )
    try:
        return loaded_bundle(line.name, bundle)
    except BundleError as error:
        notices.error(plain(str(error)), title="The bundle cannot be used", icon=":material/error:")
        return None


def policy_controls(work: Work, loaded: LoadedBundle) -> Policy:
    """The thresholds. The session's work holds them; the widgets only show and move them, so that
    they survive a change of page, line or bundle."""
    policy = work.policy(loaded)
    if not loaded.line.can_accept:
        st.info(
            "This line names defects. Its data has no good surface, so it cannot accept a part: "
            "there is no threshold to set."
        )
        return policy
    which = f"{loaded.line.name}/{loaded.bundle.name}"
    slider, low, high = (f"{name}-{which}" for name in ("thresholds", "accept", "reject"))
    # A widget that already says so is left alone: setting it would undo what its user has moved on
    # the page since this run began.
    for key, value in (
        (slider, (policy.accept_below, policy.reject_above)),
        (low, policy.accept_below),
        (high, policy.reject_above),
    ):
        if st.session_state.get(key) != value:
            st.session_state[key] = value

    def slid() -> None:
        accept, reject = st.session_state[slider]
        work.set_policy(loaded, Policy(accept_below=accept, reject_above=reject))

    def typed(name: str, key: str) -> None:
        work.set_threshold(loaded, name, st.session_state[key])

    st.slider(
        "Accept below, reject above",
        0.0,
        1.0,
        step=STEP,
        key=slider,
        on_change=slid,
        help="On the defect score, the probability that the part is not good. Parts between the "
        "two thresholds go to review. The model is not run again.",
    )
    left, right = st.columns(2)
    for column, title, name, key in (
        (left, "Accept below", "accept_below", low),
        (right, "Reject above", "reject_above", high),
    ):
        column.number_input(
            title, 0.0, 1.0, step=0.01, format="%.3f", key=key, on_change=typed, args=(name, key)
        )
    changed = policy != loaded.bundle.policy
    st.button(
        "Back to the bundle's policy",
        icon=":material/undo:",
        disabled=not changed,
        on_click=work.reset_policy,
        args=(loaded,),
        help=f"Accept below {loaded.bundle.policy.accept_below:.3g}, reject above "
        f"{loaded.bundle.policy.reject_above:.3g}.",
    )
    return policy
