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


def _current_key(name: str) -> str:
    return f"{name}-{st.session_state.setdefault(f'{name}-count', 0)}"


def _key_showing(name: str, value: float | tuple[float, float]) -> str:
    """The key under which the widget `name` shows `value`.

    A widget that shows something else is replaced, not set: until the page hears of a new value it
    sends the old one with whatever its user does next, which the server would take for a move of
    this widget back to where it was. What comes in under an older key is such an echo.
    """
    if st.session_state.get(_current_key(name), value) != value:
        st.session_state[f"{name}-count"] += 1
    key = _current_key(name)
    st.session_state.setdefault(key, value)
    return key


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
    slider = f"thresholds-{which}"

    def slid(key: str) -> None:
        if key == _current_key(slider):
            accept, reject = st.session_state[key]
            work.set_policy(loaded, Policy(accept_below=accept, reject_above=reject))

    def typed(name: str, widget: str, key: str) -> None:
        if key == _current_key(widget):
            work.set_threshold(loaded, name, st.session_state[key])

    key = _key_showing(slider, (policy.accept_below, policy.reject_above))
    st.slider(
        "Accept below, reject above",
        0.0,
        1.0,
        step=STEP,
        key=key,
        on_change=slid,
        args=(key,),
        help="On the defect score, the probability that the part is not good. Parts between the "
        "two thresholds go to review. The model is not run again.",
    )
    for column, title, name in zip(
        st.columns(2),
        ("Accept below", "Reject above"),
        ("accept_below", "reject_above"),
        strict=True,
    ):
        widget = f"{name}-{which}"
        key = _key_showing(widget, getattr(policy, name))
        column.number_input(
            title,
            0.0,
            1.0,
            step=0.01,
            format="%.3f",
            key=key,
            on_change=typed,
            args=(name, widget, key),
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
