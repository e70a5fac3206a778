"""The word that a page's verdicts are tried with a policy that is not in force."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy, in_words
from defectvision.bundle.schema import LoadedBundle
from defectvision.web.session.work import Work
from defectvision.words import plain


def what_if(work: Work, loaded: LoadedBundle, policy: Policy) -> None:
    """A warning where `policy` is not the one in force; nothing where it is."""
    # It has its place whether there is anything to say or not: else what stands below would be
    # drawn anew, and the picture would forget where it was zoomed to.
    place = st.empty()
    in_force = work.policies.in_force(loaded)
    if policy == in_force.policy:
        return
    words = in_words(in_force.policy, loaded.line, loaded.bundle.mask_classes)
    with place.container(key="what-if"):
        st.warning(
            f"The verdicts on this page try a policy that only you see. In force is "
            f"{plain(in_force.words)}: {plain(words)}.",
            title="What-if, not in force",
            icon=":material/science:",
        )
