"""What two batches of the same images say differently."""

import streamlit as st

from defectvision.web.batch.changes import changed_images, choose_two, matrix
from defectvision.web.export_menu import Group, export_menu
from defectvision.web.links import batches_link
from defectvision.web.session.store import the_store
from defectvision.words import plain

notices = st.container()
store = the_store(notices)
if store is None:
    st.stop()
with st.sidebar:
    chosen = choose_two(store)
if chosen is None:
    st.subheader("Changes", icon=":material/compare_arrows:")
    st.markdown(
        "There are no two batches of one line to compare. On the **Batches** page, press **Inspect "
        "again** at a batch that has ended."
    )
    batches_link()
    st.stop()
changes = chosen.changes
with st.container(horizontal=True, vertical_alignment="center"):
    title = f"{changes.after.batch.title}, against {changes.before.batch.title}"
    st.subheader(plain(title), icon=":material/compare_arrows:", width="stretch")
    export_menu([Group("Changed images", chosen.stem, chosen.formats)])
counts = matrix(chosen)
if counts.images:
    changed_images(chosen, counts)
