"""Where bundles live: how good each was measured to be, how fast it is here, which one is taken."""

import streamlit as st

from defectvision.web import cards
from defectvision.web.choices import bundle_names, readable_lines
from defectvision.web.lines.default import default_of
from defectvision.web.lines.parcels import import_way, imported_notice
from defectvision.web.lines.room import bundle_room
from defectvision.web.links import NEW_LINE
from defectvision.web.new_line.room import new_line, new_line_notice
from defectvision.web.session.people import who
from defectvision.web.session.store import the_store
from defectvision.words import plain

if NEW_LINE in st.query_params:
    new_line(st.query_params[NEW_LINE])
    st.stop()
with st.sidebar:
    person = who()
notices = st.container()
store = the_store(notices)
with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Lines", width="stretch")
    if store is not None:
        import_way(store, person)
    new_line_notice()
if store is not None:
    imported_notice(store)
for line in readable_lines(st.container()):
    st.header(plain(line.title))
    st.html(cards.colour_swatches(line))
    if not line.can_accept:
        st.caption(
            "This line names defects. Its data has no good surface, so it cannot accept a part."
        )
    names = bundle_names(line.name)
    if not names:
        st.info(f"This line has no bundle yet: `defectvision train --line {line.name}`.")
        continue
    if store is not None:
        default_of(line, names, store, person)
    titles = [f"{plain(n)}{' :material/star:' if n == line.default_bundle else ''}" for n in names]
    for name, tab in zip(names, st.tabs(titles), strict=True):
        with tab:
            bundle_room(line, name, store, person)
