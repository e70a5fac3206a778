"""Where to put the thresholds: by what mistakes cost, by a promise, by a review band."""

from __future__ import annotations

from functools import partial

import streamlit as st

from defectvision.bundle.policy import Policy, threshold_text
from defectvision.bundle.schema import LoadedBundle
from defectvision.evaluation.charts import histogram
from defectvision.evaluation.consequences import consequence, least_cost
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.evaluation.promises import (
    Promise,
    conformal_band,
    groups_for,
    most_escapes,
    percent,
)
from defectvision.report.evaluation.figures import histogram_figure
from defectvision.web.evaluate import matrix
from defectvision.web.evaluate.costs import COSTS, RATE, costs_of_session
from defectvision.web.evaluate.heading import amount, between
from defectvision.web.evaluate.opening import Opened, once
from defectvision.web.policy.controls import REASON
from defectvision.web.session.work import Work
from defectvision.words import capital, plain

COST, PROMISE, BAND = "By cost", "By a promise", "By a review band"


def operating_point(work: Work, opened: Opened, policy: Policy, may_move: bool) -> None:
    """The scores under the policy, and what proposes other thresholds."""
    kept, number = opened.kept, opened.row.id
    left, right = st.columns([7, 5], gap="large")
    with left:
        st.markdown("**Parts by what they are and what is said of them**")
        matrix.verdicts(kept, policy, number)
        bins = once(kept, "histogram", lambda: histogram(kept))
        if len(bins):
            st.plotly_chart(
                histogram_figure(bins, policy),
                key="evaluation-scores",
                config={"displayModeBar": False},
                alt="Images by defect score, good and defective, with the zones of the policy",
            )
    with right:
        st.markdown("**Choose the thresholds**")
        how = st.segmented_control(
            "Choose the thresholds",
            [COST, PROMISE, BAND],
            default=COST,
            required=True,
            key="evaluate-how",
            persist_state="session",
            label_visibility="collapsed",
        )
        loaded = opened.loaded if may_move else None
        try:
            if how == COST:
                _by_cost(work, kept, policy, loaded, number)
            elif how == PROMISE:
                _by_promise(work, kept, policy, loaded, number)
            else:
                _by_band(work, kept, policy, loaded, number)
        except EvaluationError as error:
            st.info(plain(f"{capital(str(error))}."), icon=":material/info:")


def _by_cost(
    work: Work, kept: Kept, policy: Policy, loaded: LoadedBundle | None, number: int
) -> None:
    st.caption("In any currency; what counts is how many times dearer one is than another.")
    with st.grid(2, min_column_width=120) as grid:
        for name, (title, first) in COSTS.items():
            with grid.cell():
                st.number_input(
                    title, 0.0, value=first, key=f"cost-{name}", persist_state="session"
                )
        with grid.cell():
            st.number_input(
                "Defective parts, %",
                0.0,
                100.0,
                value=RATE,
                step=0.1,
                format="%.3g",
                key="cost-rate",
                persist_state="session",
                help="How many of the parts of production are expected to be defective. A labelled "
                "set rarely holds as few.",
            )
    costs = costs_of_session()
    best = least_cost(kept, policy, costs)
    found = consequence(kept, best, costs)
    words = f"**{_thresholds(best)}** cost least on these images"
    if found.cost is not None:
        words += f": {amount(found.cost.value)} per 1000 parts ({between(found.cost)})"
    st.markdown(f"{words}. Chosen on these images, it costs a little more on others.")
    _consequences(kept, best)
    reason = (
        f"least cost: escape {costs.escape:g}, overkill {costs.overkill:g}, review "
        f"{costs.review:g}, {costs.defect_rate:.3g} defective; evaluation {number}"
    )
    _take(work, loaded, policy, best, reason)


def _by_promise(
    work: Work, kept: Kept, policy: Policy, loaded: LoadedBundle | None, number: int
) -> None:
    asked = _asked("At most so many escapes, %", "promise", 1.0)
    promise = most_escapes(kept, policy, asked)
    reason = f"at most {percent(asked)} escapes, 95 % sure; evaluation {number}"
    _said(work, kept, policy, loaded, promise, reason)


def _by_band(
    work: Work, kept: Kept, policy: Policy, loaded: LoadedBundle | None, number: int
) -> None:
    escapes = _asked("Escapes at most, %", "band-escapes", 1.0)
    both = st.checkbox("Limit overkill, too", key="evaluate-band-both", persist_state="session")
    overkills = _asked("Overkill at most, %", "band-overkills", 5.0) if both else None
    st.caption(f"A promise of {percent(escapes)} needs {groups_for(escapes):,} photo groups.")
    promise = conformal_band(kept, policy, escapes, overkills)
    reason = f"conformal band: escapes at most {percent(escapes)}"
    reason += f", overkill {percent(overkills)}" if overkills is not None else ""
    _said(work, kept, policy, loaded, promise, f"{reason}; evaluation {number}")


def _asked(title: str, name: str, first: float) -> float:
    value = st.number_input(
        title, 0.01, 50.0, value=first, step=0.1, format="%.3g", key=f"evaluate-{name}",
        persist_state="session",
    )  # fmt: skip
    return float(value) / 100


def _said(
    work: Work,
    kept: Kept,
    policy: Policy,
    loaded: LoadedBundle | None,
    promise: Promise,
    reason: str,
) -> None:
    if promise.policy is None:
        st.warning(plain(promise.words), title="No promise", icon=":material/group_add:")
        return
    st.success(
        plain(promise.words), title=_thresholds(promise.policy), icon=":material/verified_user:"
    )
    _consequences(kept, promise.policy)
    _take(work, loaded, policy, promise.policy, reason)


def _consequences(kept: Kept, policy: Policy) -> None:
    """What a proposed policy comes to on these images."""
    found = consequence(kept, policy)
    said = [
        f"{percent(share.value)} {words}"
        for share, words in (
            (found.reviews, "of parts need a person"),
            (found.escapes, "of defective parts escape"),
            (found.overkills, "of good parts are rejected"),
        )
        if share.value is not None
    ]
    st.caption(f"Here {', '.join(said)}.")


def _thresholds(policy: Policy) -> str:
    low, high = threshold_text(policy.accept_below), threshold_text(policy.reject_above)
    return f"Accept below {low}, reject from {high}"


def _take(
    work: Work, loaded: LoadedBundle | None, policy: Policy, proposed: Policy, reason: str
) -> None:
    """Move the session's policy to the proposed thresholds; the reason is there to be saved."""
    if loaded is None:
        return
    st.button(
        "Take these thresholds",
        icon=":material/tune:",
        disabled=proposed == policy,
        on_click=partial(_move, work, loaded, proposed, reason),
        help="Moves the sliders on the left. **Put in force** there saves them for everyone.",
    )


def _move(work: Work, loaded: LoadedBundle, proposed: Policy, reason: str) -> None:
    work.policies.change(
        loaded, accept_below=proposed.accept_below, reject_above=proposed.reject_above
    )
    st.session_state[REASON] = reason
