"""Who changed what: policies, batches, releases, deletions."""

import streamlit as st

from defectvision.store.audit import MOST, trail
from defectvision.web.audit.table import audit_table
from defectvision.web.session.store import the_store
from defectvision.web.widgets import part_of_more
from defectvision.words import counted


def show_older() -> None:
    st.session_state["audit-shown"] += MOST


notices = st.container()
store = the_store(notices)
st.subheader("Audit trail", icon=":material/history_edu:")
if store is None:
    st.stop()
with st.sidebar:
    text = st.text_input("Contains", key="audit-text", icon=":material/search:").strip()
shown = st.session_state.setdefault("audit-shown", MOST)
with store.reading() as session:
    rows, count = trail(session, text, shown)
if rows:
    more = f", here the newest {len(rows):,}" if count > len(rows) else ""
    st.caption(f"{counted(count, 'entry', 'entries')}{more}. Nothing here is ever changed.")
    with part_of_more(count > len(rows)):
        audit_table(rows)
    if count > len(rows):
        st.button("Show older ones", icon=":material/expand_more:", on_click=show_older)
elif text:
    st.info("No entry contains this text.", icon=":material/filter_alt:")
else:
    st.info(
        "Nothing was changed yet. Saved policies, started, released and deleted batches are "
        "listed here.",
        icon=":material/history_edu:",
    )
