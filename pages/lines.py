"""Where bundles live: how good each was measured to be, how fast it is here, which one is taken."""

import streamlit as st

from defectvision.bundle.reader import find_lines
from defectvision.settings import settings
from defectvision.web import cards
from defectvision.web.choices import bundle_names, choose_line
from defectvision.web.lines.default import default_of
from defectvision.web.lines.overview import overview
from defectvision.web.lines.parcels import import_way, imported_notice
from defectvision.web.lines.room import bundle_room
from defectvision.web.links import NEW_LINE, bundle_key
from defectvision.web.new_line.room import new_line, new_line_notice
from defectvision.web.session.people import who
from defectvision.web.session.store import the_store
from defectvision.words import plain

if NEW_LINE in st.query_params:
    new_line(st.query_params[NEW_LINE])
    st.stop()
notices = st.container()
with st.sidebar:
    person = who()
    line = choose_line(notices)
store = the_store(notices)
with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Lines", width="stretch")
    if store is not None:
        import_way(store, person)
    new_line_notice()
if store is not None:
    imported_notice(store)
if line is None:
    st.stop()
overview(find_lines(settings().weights).readable)
st.header(plain(line.title))
st.html(cards.colour_swatches(line))
if not line.can_accept:
    st.caption("This line names defects. Its data has no good surface, so it cannot accept a part.")
names = bundle_names(line.name)
if not names:
    st.info(f"This line has no bundle yet: `defectvision train --line {line.name}`.")
    st.stop()
if store is not None:
    default_of(line, names, store, person)
titles = {n: f"{plain(n)}{' :material/star:' if n == line.default_bundle else ''}" for n in names}
chosen = titles.get(st.session_state.get(bundle_key(line.name), ""))
for name, tab in zip(names, st.tabs(list(titles.values()), default=chosen), strict=True):
    with tab:
        bundle_room(line, name, store, person)
