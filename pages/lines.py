"""What lines and bundles there are, and how good each was measured to be."""

import streamlit as st

from defectvision.bundle.reader import BundleError
from defectvision.web import cards
from defectvision.web.choices import bundle_names, loaded_bundle, readable_lines
from defectvision.web.lines.card import bundle_card, files
from defectvision.web.links import NEW_LINE
from defectvision.web.new_line.room import new_line, new_line_notice
from defectvision.words import plain

if NEW_LINE in st.query_params:
    new_line(st.query_params[NEW_LINE])
    st.stop()
with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Lines", width="stretch")
    new_line_notice()
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
    for name, tab in zip(names, st.tabs([plain(name) for name in names]), strict=True):
        with tab:
            if name == line.default_bundle:
                st.badge("Default bundle of the line", icon=":material/star:", color="blue")
            try:
                loaded = loaded_bundle(line.name, name)
            except BundleError as error:
                st.error(
                    plain(str(error)),
                    title="The bundle cannot be used",
                    icon=":material/error:",
                )
                continue
            bundle_card(loaded)
            with st.expander("Files and their hashes", icon=":material/fingerprint:"):
                st.html(cards.facts(files(loaded.bundle), "left"))
