"""Images become a labelled set, and that a bundle."""

import streamlit as st

from defectvision.web.label.room import choose_set, new_set, section_of
from defectvision.web.label.sections import SECTIONS
from defectvision.web.session.people import who
from defectvision.web.session.store import the_store
from defectvision.words import plain

notices = st.container()
store = the_store(notices)
with st.sidebar:
    person = who()
if store is None:
    st.stop()
chosen = choose_set(store)
if chosen is None:
    new_set(store, person)
    st.stop()
st.header(plain(chosen.title))
SECTIONS[section_of(chosen)](store, chosen, person)
