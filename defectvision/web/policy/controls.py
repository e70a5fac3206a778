"""The policy: moved for this session, and put in force for everyone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from defectvision.bundle.policy import (
    ACCEPT_BELOW,
    REJECT_FROM,
    Policy,
    in_words,
    regions_in_words,
)
from defectvision.bundle.schema import LoadedBundle
from defectvision.bundle.words import score_words
from defectvision.inference.zones import shares_of_view
from defectvision.people import Action, NotAllowedError, Person
from defectvision.web.open_image import OpenImage
from defectvision.web.policy.changes import change, refused
from defectvision.web.policy.classes import mask_controls
from defectvision.web.policy.rules import rule_controls
from defectvision.web.session.people import acting, lacking_reason, ready
from defectvision.web.session.work import Work
from defectvision.web.viewer.component import Marking
from defectvision.web.widgets import current_key, key_showing, policy_number
from defectvision.words import capital, counted, plain

if TYPE_CHECKING:
    from defectvision.store.database import Store

STEP = 0.005
REASON = "policy-reason"  # of the widget that asks why a policy is put in force


def policy_controls(work: Work, loaded: LoadedBundle) -> Policy:
    """The policy in force. The session's work holds it; the widgets only show and move it, so that
    it survives a change of page, line or bundle."""
    policy = work.policies.of(loaded)
    if loaded.line.can_accept:
        _verdict_thresholds(work, loaded, policy)
    else:
        st.info(
            "This line names defects. Its data has no good surface, so it cannot accept a part: "
            "there is no threshold to set."
        )
    mask_controls(work, loaded, policy)
    rule_controls(work, loaded, policy)
    refused()
    if loaded.line.can_accept or loaded.bundle.mask_classes:
        in_force = work.policies.in_force(loaded).policy
        st.button(
            "Back to the policy in force",
            icon=":material/undo:",
            disabled=policy == in_force,
            on_click=work.policies.reset,
            args=(loaded,),
            help=f"It says: {plain(in_words(in_force, loaded.line, loaded.bundle.mask_classes))}.",
        )
    return policy


def marking_of(work: Work, loaded: LoadedBundle, image: OpenImage) -> Marking | None:
    """What takes a scale and zones that are marked in `image` into the session's policy; None where
    nothing is measured."""
    if not loaded.bundle.mask_classes:
        return None

    def add_zone(name: str, ignored: bool, corners: list[tuple[float, float]]) -> None:
        shares = shares_of_view(corners, image.inspection.frame)
        zone = {"name": name, "ignored": ignored, "corners": shares}
        zones = [z.model_dump() for z in work.policies.of(loaded).zones]
        change(work, loaded, zones=[*zones, zone])

    return Marking(lambda scale: change(work, loaded, mm_per_px=scale), add_zone)


def save_policy(
    work: Work, store: Store, loaded: LoadedBundle, policy: Policy, who: Person, tried: str = ""
) -> None:
    """Put this session's policy in force for all, under a name and with a reason.

    tried: the version of the bundle whose scores the page shows; a policy that was tried on those
    of another model is for that one, and cannot be put in force."""
    from defectvision.store import policies

    if tried and not loaded.is_version(tried):
        st.caption(
            "The bundle was replaced since. A policy is put in force on what the one that is there "
            "said: inspect the batch again, or choose it on **Evaluate** or **Lines**."
        )
        return
    whose = loaded.line.name, loaded.bundle.name
    with store.reading() as session:
        # Not the one that the page follows: a released lot keeps its own.
        today = policies.in_force(session, *whose, loaded.bundle.policy)
    # Another key is another popover, which is closed.
    key = f"put-in-force-{today.number}"
    with st.popover(
        "Put in force", icon=":material/gavel:", disabled=policy == today.policy, key=key
    ):
        st.markdown(
            plain(
                f"Everyone's verdicts, charts and exports of {loaded.line.title} by "
                f"{loaded.bundle.name} follow this policy from then on."
            )
        )
        default = loaded.line.default_bundle
        if loaded.bundle.name != default:
            st.warning(
                plain(
                    f"Where no bundle is named, {default} judges parts of {loaded.line.title}: "
                    "its policy stays as it is."
                ),
                icon=":material/warning:",
            )
        why = st.text_input("Reason", key=REASON, max_chars=500).strip()
        able = ready(who, Action.POLICY)
        st.button(
            "Save as the policy in force",
            type="primary",
            disabled=not (able and why),
            help=lacking_reason(who, Action.POLICY, why) or None,
            on_click=_put_in_force,
            args=(work, store, loaded, policy, today.policy),
        )
    with store.reading() as session:
        versions = policies.history(session, *whose)
    if versions:
        with st.expander(
            counted(len(versions), "saved policy", "saved policies"), icon=":material/history:"
        ):
            st.dataframe(
                [
                    {
                        "No.": row.number,
                        "Saved, UTC": row.made,
                        "By": row.who,
                        ACCEPT_BELOW.capitalize(): row.content["accept_below"],
                        REJECT_FROM.capitalize(): row.content["reject_above"],
                        "Rules": regions_in_words(policies.policy_of(row), loaded.line),
                        "Reason": row.why,
                    }
                    for row in versions
                ],
                hide_index=True,
                alt="Saved policies of this bundle",
            )


def _put_in_force(
    work: Work, store: Store, loaded: LoadedBundle, policy: Policy, today: Policy
) -> None:
    """Before the page is drawn anew; `policy` and `today` are as whoever clicked has seen them."""
    from sqlalchemy.exc import IntegrityError

    from defectvision.store import policies
    from defectvision.store.errors import StoreError

    line, bundle, own = loaded.line.name, loaded.bundle.name, loaded.bundle.policy
    why = st.session_state[REASON].strip()
    try:
        with store.session() as session:
            saved = policies.save(session, line, bundle, policy, acting(), why, today, own)
    except (IntegrityError, NotAllowedError, StoreError) as error:
        words = "Somebody else saved a policy at the same moment. Look at it first."
        said = words if isinstance(error, IntegrityError) else plain(capital(str(error)))
        st.toast(said, icon=":material/error:", duration="long")
        return
    work.policies.reset(loaded)
    st.session_state[REASON] = ""
    words = plain(f"Policy {saved.number} is in force for everyone: {bundle}.")
    st.toast(words, icon=":material/check_circle:", duration="long")


def _verdict_thresholds(work: Work, loaded: LoadedBundle, policy: Policy) -> None:
    which = f"{loaded.line.name}/{loaded.bundle.name}"
    slider = f"thresholds-{which}"

    def slid(key: str) -> None:
        if key == current_key(slider):
            accept, reject = st.session_state[key]
            work.policies.change(loaded, accept_below=accept, reject_above=reject)

    key = key_showing(slider, (policy.accept_below, policy.reject_above))
    st.slider(
        f"{ACCEPT_BELOW}, {REJECT_FROM}".capitalize(),
        0.0,
        1.0,
        step=STEP,
        key=key,
        on_change=slid,
        args=(key,),
        help=f"On the defect score, {score_words(loaded.bundle)}. Parts between the two "
        "thresholds go to review. The model is not run again.",
    )
    for column, title, name in zip(
        st.columns(2),
        (ACCEPT_BELOW.capitalize(), REJECT_FROM.capitalize()),
        ("accept_below", "reject_above"),
        strict=True,
    ):
        policy_number(
            title,
            f"{name}-{which}",
            getattr(policy, name),
            partial(work.policies.set_threshold, loaded, name),
            container=column,
            min_value=0.0,
            max_value=1.0,
            step=0.01,
            format="%.3f",
        )
