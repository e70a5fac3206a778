"""Accounts: one's own, and for an admin those of everybody."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from sqlalchemy.orm import Session

from defectvision.people import Action, Person, Role
from defectvision.store import accounts
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import AccountRow
from defectvision.web.session.people import leave, ready
from defectvision.words import counted, plain

SAID = "access-said"  # session key: what was done, to be said once


def own_account(store: Store, person: Person) -> None:
    """Who is signed in, a way out, and a new password where there is one."""
    with store.reading() as session:
        mine = accounts.get_account(session, person.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"You are **{plain(person.name)}**, {person.title}.")
        st.button("Sign out", icon=":material/logout:", on_click=leave)
        if mine.secret:
            with st.popover("Change the password", icon=":material/password:"):
                _own_password(store, person)


def _own_password(store: Store, person: Person) -> None:
    with st.form("own-password", border=False, clear_on_submit=True):
        old = st.text_input("Password until now", type="password", autocomplete="current-password")
        new = st.text_input("New password", type="password", autocomplete="new-password")
        again = st.text_input("The new one again", type="password", autocomplete="new-password")
        st.caption("You sign in anew with it.")
        if not st.form_submit_button("Change it", type="primary"):
            return
    if new != again:
        st.error("The two new passwords differ.", icon=":material/error:")
        return
    if change(store, lambda s: accounts.change_password(s, person, old, new)):
        st.rerun()


def all_of_them(store: Store, person: Person, how: str) -> None:
    """The table of accounts, and what an admin can do with them."""
    said()
    with store.reading() as session:
        rows = accounts.all_accounts(session)
    if rows:
        _table(rows)
    else:
        st.markdown("There is no account yet. The first one is an admin's.")
    able = ready(person, Action.ACCESS)
    with st.container(horizontal=True, gap="small"):
        with st.popover("New account", icon=":material/person_add:", disabled=not able):
            _new(store, person, how, first=not rows)
        if rows:
            with st.popover(
                "Change an account", icon=":material/manage_accounts:", disabled=not able
            ):
                _change(store, person, rows)


def _table(rows: list[AccountRow]) -> None:
    st.dataframe(
        [
            {
                "Name": row.name,
                "Role": row.role.capitalize(),
                "Signs in": "with a password" if row.secret else "with the OpenID provider",
                "State": "ended" if row.ended else "open",
                "Made, UTC": row.made,
            }
            for row in rows
        ],
        hide_index=True,
        alt="Accounts",
        column_config={"Made, UTC": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")},
    )
    st.caption(f"{counted(len(rows), 'account')}. What an ended one did stays under its name.")


def _role(label: str, key: str, now: Role) -> Role:
    roles = list(Role)
    chosen: Role = st.selectbox(
        label, roles, roles.index(now), format_func=lambda role: role.value.capitalize(), key=key
    )
    return chosen


def _new(store: Store, person: Person, how: str, first: bool) -> None:
    with st.form("new-account", border=False):
        name = st.text_input(
            "Name",
            max_chars=200,
            help="Decisions are kept under it, for ever. For who signs in with an OpenID provider, "
            "the e-mail address that the provider vouches for.",
        )
        role = _role("Role", "new-account-role", Role.ADMIN if first else Role.INSPECTOR)
        password: str | None = None
        if how != "openid":
            password = st.text_input("Password", type="password", autocomplete="new-password")
            st.caption(f"At least {accounts.SHORTEST_PASSWORD} characters.")
        if not st.form_submit_button("Make the account", type="primary"):
            return
    if change(
        store,
        lambda s: accounts.add_account(s, person, name, role, password),
        f"{name} has an account.",
    ):
        st.rerun()


def _change(store: Store, person: Person, rows: list[AccountRow]) -> None:
    row = st.selectbox("Account", rows, format_func=lambda row: plain(row.name), key="account")
    role = _role("Role", f"role-{row.id}", Role(row.role))
    if st.button("Give this role", disabled=role == row.role) and change(
        store, lambda s: accounts.set_role(s, person, row.name, role), f"{row.name} is {role}."
    ):
        st.rerun()
    with st.form("set-password", border=False, clear_on_submit=True):
        password = st.text_input("New password", type="password", autocomplete="new-password")
        sent = st.form_submit_button("Set the password")
    if sent and change(
        store,
        lambda s: accounts.set_password(s, person, row.name, password),
        f"{row.name} signs in with the new password from now on.",
    ):
        st.rerun()
    opened = row.ended is None
    if st.button("End the account" if opened else "Open the account again") and change(
        store,
        lambda s: accounts.end_account(s, person, row.name, ended=opened),
        f"{row.name} can{'not' if opened else ''} sign in{' any more' if opened else ''}.",
    ):
        st.rerun()


def change(store: Store, what: Callable[[Session], object], then: str = "") -> bool:
    """Do it; says here why not, or at the next run `then` that it is done."""
    try:
        with store.session() as session:
            what(session)
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return False
    st.session_state[SAID] = then
    return True


def said() -> None:
    if words := st.session_state.pop(SAID, ""):
        st.success(plain(words), icon=":material/check_circle:")
