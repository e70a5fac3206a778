"""Widgets that show a number of the policy: the session's work holds it, they only move it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

OPEN_PAGE = "open-page"  # in the session's state: which page is open


def part_of_more(more: bool) -> DeltaGenerator:
    """The place of a table; where there are `more` rows than it has, one without its own search
    and download, which would leave those out."""
    return st.container(key="part-of-more" if more else None)


def current_key(name: str) -> str:
    return f"{name}-{st.session_state.setdefault(f'{name}-count', 0)}"


def key_showing(name: str, value: float | tuple[float, float] | str | None) -> str:
    """The key under which the widget `name` shows `value`.

    A widget that shows something else is replaced, not set: until the page hears of a new value it
    sends the old one with whatever its user does next, which the server would take for a move of
    this widget back to where it was. What comes in under an older key is such an echo. On another
    page it is a new widget, too: the browser has forgotten what the one before showed, and would
    not be told again.
    """
    page = st.session_state.get(OPEN_PAGE)
    moved = st.session_state.get(current_key(name), value) != value
    if moved or st.session_state.get(f"{name}-page", page) != page:
        st.session_state[f"{name}-count"] += 1
    st.session_state[f"{name}-page"] = page
    key = current_key(name)
    st.session_state.setdefault(key, value)
    return key


def policy_number(
    label: str,
    name: str,
    shown: float | None,
    typed: Callable[[Any], None],
    container: Any = st,
    **options: Any,
) -> None:
    """A number input `name` that shows `shown`; `typed` gets what its user types into it."""

    def changed(key: str) -> None:
        if key == current_key(name):
            typed(st.session_state[key])

    key = key_showing(name, shown)
    container.number_input(label, key=key, on_change=changed, args=(key,), **options)
