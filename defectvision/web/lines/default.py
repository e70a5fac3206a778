"""Which bundle is taken where none is named: switched and rolled back, with a reason."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import in_words
from defectvision.bundle.reader import BundleError
from defectvision.people import Action, NotAllowedError, Person
from defectvision.settings import settings
from defectvision.store import policies
from defectvision.store.bundles import Switch, switch_default, switches, way_back
from defectvision.store.database import Store
from defectvision.web.choices import loaded_bundle
from defectvision.web.session.people import acting, ready
from defectvision.words import counted, in_utc, plain

LONGEST_REASON = 500


def default_of(line: Line, names: list[str], store: Store, person: Person) -> None:
    """The default bundle, since when and why, the way back, and how it was switched before."""
    with store.reading() as session:
        known = switches(session, line.name)
    back = way_back(known, line.default_bundle)
    with st.container(horizontal=True, vertical_alignment="center", key=f"default-{line.name}"):
        st.markdown(_words(line, back), width="stretch")
        if back is not None and back.before in names and person.may(Action.POLICY):
            _roll_back(line, back, store, person)
    if known:
        title = counted(len(known), "switch", "switches")
        with st.expander(f"{title} of the default bundle", icon=":material/history:"):
            st.dataframe(
                [
                    {
                        "When, UTC": switch.at,
                        "By": switch.who,
                        "From": switch.before,
                        "To": switch.after,
                        "Reason": switch.why,
                    }
                    for switch in known
                ],
                hide_index=True,
                alt=f"How the default bundle of {line.title} was switched",
            )


def _words(line: Line, last: Switch | None) -> str:
    words = f":material/star: Default bundle **{plain(line.default_bundle)}**"
    if last is None:
        return words
    return (
        f"{words}, in place of {plain(last.before)} since {in_utc(last.at)}, "
        f"by {plain(last.who)}: {plain(last.why)}"
    )


def _roll_back(line: Line, last: Switch, store: Store, person: Person) -> None:
    # Another key is another popover, which is closed.
    key = f"roll-back-{line.name}-{last.after}-{last.at:%Y%m%d%H%M%S%f}"
    with st.popover(f"Roll back to {plain(last.before)}", icon=":material/undo:", key=key):
        st.markdown("Whoever names no bundle gets this one again, from the next image on.")
        st.caption(_judging(line, last.before, store))
        reason = f"back-reason-{line.name}-{last.after}"
        why = st.text_input(
            "Reason", f"Back from {last.after}", key=reason, max_chars=LONGEST_REASON
        ).strip()
        able = ready(person, Action.POLICY)
        st.button(
            "Roll back",
            key=f"back-{line.name}",
            type="primary",
            disabled=not (able and why),
            on_click=_switch,
            args=(line, last.before, store, reason),
        )


def make_default(line: Line, name: str, store: Store, person: Person) -> None:
    """The way to make a bundle the default of its line, for those who may."""
    if not person.may(Action.POLICY):
        return
    with st.popover("Make default", icon=":material/star:", key=f"default-{line.name}-{name}"):
        st.markdown(
            f"Inspect, batches, REST API and command line take **{plain(name)}** in place of "
            f"{plain(line.default_bundle)} wherever no bundle is named. What was inspected before "
            "stays as it is."
        )
        st.caption(_judging(line, name, store))
        reason = f"default-reason-{line.name}-{name}"
        why = st.text_input("Reason", key=reason, max_chars=LONGEST_REASON).strip()
        able = ready(person, Action.POLICY)
        st.button(
            "Switch",
            key=f"switch-{line.name}-{name}",
            type="primary",
            disabled=not (able and why),
            on_click=_switch,
            args=(line, name, store, reason),
        )


def _judging(line: Line, name: str, store: Store) -> str:
    """By which policy parts are judged from then on, and by which they are now: each bundle has its
    own."""
    said = []
    for bundle, when in ((name, "will be judged by"), (line.default_bundle, "are judged now by")):
        try:
            about = loaded_bundle(line.name, bundle).bundle
        except BundleError:
            continue
        with store.reading() as session:
            found = policies.in_force(session, line.name, bundle, about.policy)
        words = in_words(found.policy, line, about.mask_classes)
        said.append(f"Parts {when} {plain(f'{found.words} of {bundle}: {words}')}.")
    return " ".join(said)


def _switch(line: Line, name: str, store: Store, reason: str) -> None:
    """Before the page is drawn anew: `line` is as whoever clicked has seen it."""
    about = settings()
    try:
        switch_default(
            store,
            about.weights,
            line.name,
            name,
            acting(),
            st.session_state[reason].strip(),
            line.default_bundle,
            about.limits.trusted,
        )
    except (BundleError, NotAllowedError) as error:
        st.toast(plain(str(error)), icon=":material/error:", duration="long")
    else:
        words = plain(f"{name} is the default bundle of {line.title} now.")
        st.toast(words, icon=":material/check_circle:")
