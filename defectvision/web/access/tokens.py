"""Tokens with which programs use the REST API."""

from __future__ import annotations

import streamlit as st

from defectvision.people import Action, Person
from defectvision.settings import settings
from defectvision.store import tokens
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import TokenRow, now
from defectvision.web.access.accounts import change
from defectvision.web.session.people import ready
from defectvision.words import plain

# What the API's routes ask for; the rest is done by people, on the pages.
SCOPES = (Action.LOOK, Action.INSPECT, Action.BATCH, Action.DECIDE)
FRESH = "fresh-token"  # session key: (name, token), shown this once


def programs(store: Store, person: Person) -> None:
    """The table of tokens, a form for a new one, and an end for old ones."""
    if fresh := st.session_state.pop(FRESH, None):
        name, token = fresh
        st.success(
            f"The token of {plain(name)}. It is shown this once: copy it now.",
            icon=":material/key:",
        )
        st.code(token, language=None)
    with store.reading() as session:
        rows = tokens.all_tokens(session)
    if rows:
        _table(rows)
    else:
        st.markdown("No program has a token of its own yet.")
    if names := ", ".join(settings().api_tokens):
        st.caption(
            plain(
                f"In DEFECTVISION_API_TOKENS besides, with all scopes and without an end: {names}."
            )
        )
    able = ready(person, Action.ACCESS)
    with st.container(horizontal=True, gap="small"):
        with st.popover("New token", icon=":material/add:", disabled=not able):
            _new(store, person)
        if opened := [row for row in rows if row.ended is None]:
            with st.popover("End a token", icon=":material/key_off:", disabled=not able):
                _end(store, person, opened)


def _table(rows: list[TokenRow]) -> None:
    st.dataframe(
        [
            {
                "Program": row.name,
                "May": ", ".join(row.scopes),
                "State": _state(row),
                "Until, UTC": row.until,
                "Last used, UTC": row.used,
                "Made by": row.who,
                "Made, UTC": row.made,
            }
            for row in rows
        ],
        hide_index=True,
        alt="Tokens of programs",
        column_config={
            column: st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")
            for column in ("Until, UTC", "Last used, UTC", "Made, UTC")
        },
    )


def _state(row: TokenRow) -> str:
    if row.ended:
        return "ended"
    return "open" if row.until > now() else "expired"


def _new(store: Store, person: Person) -> None:
    with st.form("new-token", border=False):
        name = st.text_input(
            "Program", max_chars=200, help="Its decisions and batches are kept under this name."
        )
        scopes = st.multiselect(
            "May", SCOPES, [Action.LOOK], format_func=lambda a: a.words, key="token-scopes"
        )
        days = st.number_input("Good for, days", 1, tokens.MOST_DAYS, 365)
        if not st.form_submit_button("Make the token", type="primary"):
            return
    try:
        with store.session() as session:
            made = tokens.make_token(session, person, name, scopes, int(days))
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.session_state[FRESH] = (name, made)
    st.rerun()


def _end(store: Store, person: Person, rows: list[TokenRow]) -> None:
    row = st.selectbox("Token", rows, format_func=lambda row: plain(row.name), key="token")
    st.caption("What shows it is refused from then on.")
    if st.button("End it", type="primary") and change(
        store, lambda s: tokens.end_token(s, person, row.name)
    ):
        st.rerun()
