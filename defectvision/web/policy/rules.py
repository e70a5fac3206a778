"""The widgets that show, add and remove the policy's rules and zones."""

from __future__ import annotations

from functools import partial

import streamlit as st

from defectvision.bundle.policy import Policy, rule_in_words
from defectvision.bundle.schema import LoadedBundle
from defectvision.bundle.words import EXTENT
from defectvision.web.policy.changes import change
from defectvision.web.session.work import Work
from defectvision.words import plain

ANY, WHOLE = "", ""
MEASURES = {
    "": "Any size",
    "length": "Longer than",
    "width": "Wider than",
    "area": "Larger than",
}
BOTH, ALONE = "Score and rules, the stricter", "The rules alone"


def rule_controls(work: Work, loaded: LoadedBundle, policy: Policy) -> None:
    """Nothing where the bundle outlines no regions."""
    if not loaded.bundle.mask_classes:
        return
    which = f"{loaded.line.name}/{loaded.bundle.name}"
    can_reject = loaded.line.can_accept
    title = "Rules and zones" if can_reject else "Zones"
    with st.expander(title, icon=":material/rule:", key=f"rules-{which}"):
        if can_reject:
            _rules(work, loaded, policy, which)
        _zones(work, loaded, policy, which)


def _rules(work: Work, loaded: LoadedBundle, policy: Policy, which: str) -> None:
    if not policy.rules:
        st.caption("No rule yet: the score alone decides.")
    for place, rule in enumerate(policy.rules):
        words = plain(rule_in_words(rule, loaded.line))
        _row(words, f"rule-{which}-{place}", partial(_remove, work, loaded, "rules", place))
    if st.button("Add a rule", icon=":material/add:", width="stretch"):
        _new_rule(work, loaded, policy)
    if policy.rules:
        key = f"decides-{which}-{policy.score_decides}"
        st.session_state[key] = BOTH if policy.score_decides else ALONE
        st.radio(
            "The verdict follows",
            [BOTH, ALONE],
            key=key,
            on_change=lambda: change(work, loaded, score_decides=st.session_state[key] == BOTH),
        )


@st.dialog("A new rule")
def _new_rule(work: Work, loaded: LoadedBundle, policy: Policy) -> None:
    """The form of a rule; what it needs besides is on the page: a scale for mm, zones."""
    line = loaded.line
    if loaded.bundle.remembers:
        st.caption(EXTENT)
    zones = [zone.name for zone in policy.zones if not zone.ignored]
    with st.form("new-rule", border=False):
        then = st.segmented_control(
            "A part goes to", ["reject", "review"], default="reject", required=True
        )
        left, right = st.columns(2)
        at_least = left.number_input("Regions, at least", 1, 1000, 1, step=1)
        name = right.selectbox(
            "Of",
            [ANY, *loaded.bundle.mask_classes],
            format_func=lambda name: plain(line.title_of(name)) if name else "Any defect",
            filter_mode=None,
        )
        left, middle, right = st.columns([3, 2, 2])
        measure = left.selectbox(
            "That are", list(MEASURES), format_func=MEASURES.__getitem__, filter_mode=None
        )
        over = middle.number_input("Limit", min_value=0.0, value=0.0, step=0.5, format="%g")
        units = ["px"] if policy.mm_per_px is None else ["mm", "px"]
        unit = right.selectbox("Unit", units, filter_mode=None, help="An area is in its square.")
        zone = st.selectbox(
            "Where",
            [WHOLE, *zones],
            format_func=lambda name: f"Reaching into {plain(name)}" if name else "Anywhere",
            filter_mode=None,
        )
        if policy.mm_per_px is None:
            st.caption("For limits in mm set the scale first: type it in, or use the ruler.")
        if st.form_submit_button("Add the rule", type="primary"):
            rule = {
                "then": then,
                "class_name": name or None,
                "measure": measure or "area",
                "over": over if measure else 0.0,
                "unit": unit if measure else "px",
                "at_least": at_least,
                "zone": zone or None,
            }
            rules = [kept.model_dump() for kept in policy.rules]
            change(work, loaded, rules=[*rules, rule])
            st.rerun()


def _zones(work: Work, loaded: LoadedBundle, policy: Policy, which: str) -> None:
    for place, zone in enumerate(policy.zones):
        words = f"{plain(zone.name)}: {'ignored' if zone.ignored else 'a zone for rules'}"
        _row(words, f"zone-{which}-{place}", partial(_remove, work, loaded, "zones", place))
    if not policy.zones:
        st.caption("No zone yet. Draw one beside the picture, to be ignored or for rules.")


def _row(words: str, key: str, remove: partial[None]) -> None:
    text, button = st.columns([6, 1], vertical_alignment="center")
    text.markdown(words)
    button.button(
        "Remove", icon=":material/close:", key=key, on_click=remove, type="tertiary",
        help=f"Remove: {words}", width="content",
    )  # fmt: skip


def _remove(work: Work, loaded: LoadedBundle, field: str, place: int) -> None:
    kept = [one.model_dump() for one in getattr(work.policies.of(loaded), field)]
    del kept[place]
    changes: dict[str, object] = {field: kept}
    if field == "rules" and not kept:
        changes["score_decides"] = True
    change(work, loaded, **changes)
