"""Who may do what: your own account, those of others, and tokens for programs."""

import streamlit as st

from defectvision.people import Action
from defectvision.settings import settings
from defectvision.web.access.accounts import all_of_them, own_account
from defectvision.web.access.roles import roles_table
from defectvision.web.access.tokens import programs
from defectvision.web.session.people import who
from defectvision.web.session.store import the_store

notices = st.container()
store = the_store(notices)
st.subheader("Access", icon=":material/key:")
with st.sidebar:
    person = who()
if store is None:
    st.stop()
how = settings().sign_in
if how in ("accounts", "openid"):
    own_account(store, person)
else:
    st.info(
        "Nobody signs in here: whoever reaches this address may do everything, under the name "
        "that they type. Before the dashboard is opened to a network, make an account for each "
        "person and set `DEFECTVISION_SIGN_IN=accounts`; the server asks for it.",
        icon=":material/lock_open:",
    )
if person.may(Action.ACCESS):
    people, tokens = st.tabs(["Accounts", "Tokens for programs"])
    with people:
        all_of_them(store, person, how)
    with tokens:
        programs(store, person)
with st.expander("What each role may do", icon=":material/shield_person:"):
    roles_table()
