"""The images behind the figures: choose which, and look at them with their evidence maps."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.store.database import Store
from defectvision.web.evaluate import matrix
from defectvision.web.evaluate.images import images
from defectvision.web.evaluate.opening import Opened
from defectvision.web.evaluate.views import WORST, chosen, look_at
from defectvision.web.session.work import Work


def mistakes(work: Work, store: Store, opened: Opened, policy: Policy) -> None:
    """What can be chosen above the images that are."""
    kept, number = opened.kept, opened.row.id
    left, right = st.columns([7, 4], gap="large", vertical_alignment="bottom")
    with left:
        if kept.line.can_accept:
            matrix.verdicts(kept, policy, number)
        else:
            matrix.classes(kept, policy, number)
    is_worst = chosen(number) == WORST
    right.button(
        "Worst mistakes first",
        icon=":material/warning:",
        type="primary" if is_worst else "secondary",
        on_click=look_at,
        args=(WORST, number),
    )
    images(work, store, opened, policy)
