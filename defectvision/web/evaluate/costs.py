"""What mistakes cost, as the session's form says."""

from __future__ import annotations

import streamlit as st

from defectvision.evaluation.consequences import Costs

COSTS = {  # what is asked for, with what stands there first
    "escape": ("An escape costs", 100.0),
    "overkill": ("Overkill costs", 10.0),
    "review": ("A review costs", 1.0),
}
RATE = 2.0  # % of parts that are expected to be defective, at first


def costs_of_session() -> Costs:
    """What the session's form says; the widgets of it may not be on the page."""
    values = {n: float(st.session_state.get(f"cost-{n}", first)) for n, (_, first) in COSTS.items()}
    rate = float(st.session_state.get("cost-rate", RATE)) / 100
    return Costs(values["escape"], values["overkill"], values["review"], rate)
