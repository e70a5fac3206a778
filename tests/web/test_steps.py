"""From one image to the next, in a script without a browser."""

import pytest
from streamlit.testing.v1 import AppTest

from defectvision.web.steps import position


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ((0, 1, False), "1 of 1"),
        ((2, 6, True), "3 of 6 · Synthetic sample"),
        ((1499, 12000, False), "1,500 of 12,000"),
    ],
)
def test_the_place_is_counted_from_one(where, words) -> None:
    assert position(*where) == words


def _page() -> None:
    import streamlit as st

    from defectvision.web.steps import step_control

    def go(there: int) -> None:
        st.session_state["at"] = there

    def close() -> None:
        st.session_state["at"] = None

    at = st.session_state.setdefault("at", 0)
    if at is not None:
        step_control(f"{at}.png", at, 3, False, go, close)


def test_steps_stop_at_both_ends_and_close_leads_back() -> None:
    page = AppTest.from_function(_page, default_timeout=60).run()
    seen = []
    for label in ("Next", "Next", "Previous", "Close"):
        buttons = {b.label: b for b in page.button}
        seen.append((page.session_state["at"], [b.label for b in page.button if b.disabled]))
        buttons[label].click()
        page.run()
    assert seen == [(0, ["Previous"]), (1, []), (2, ["Next"]), (1, [])]
    assert not page.button
