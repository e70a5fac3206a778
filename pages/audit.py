"""Who changed what: policies, batches, releases, deletions."""

import streamlit as st

from defectvision.store.audit import MOST, trail
from defectvision.web.audit.table import audit_table
from defectvision.web.session.store import the_store
from defectvision.web.widgets import part_of_more
from defectvision.words import counted

notices = st.container()
store = the_store(notices)
st.subheader("Audit trail", icon=":material/history_edu:")
if store is None:
    st.stop()
with st.sidebar:
    text = st.text_input("Contains", key="audit-text", icon=":material/search:").strip()
with store.reading() as session:
    rows = trail(session, text)
if rows:
    more = f", the newest {MOST:,}" if len(rows) == MOST else ""
    st.caption(f"{counted(len(rows), 'entry', 'entries')}{more}. Nothing here is ever changed.")
    with part_of_more(len(rows) == MOST):
        audit_table(rows)
elif text:
    st.info("No entry contains this text.", icon=":material/filter_alt:")
else:
    st.info(
        "Nothing was changed yet. Saved policies, started, released and deleted batches are "
        "listed here.",
        icon=":material/history_edu:",
    )
