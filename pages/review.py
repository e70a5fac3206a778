"""Decide on doubtful parts, and see how far people and model agree."""

import streamlit as st

from defectvision.store.reviews import MOST
from defectvision.web.batch.opening import open_batch
from defectvision.web.batch.stored_image import stored_image
from defectvision.web.cards import heading
from defectvision.web.export_menu import export_menu
from defectvision.web.open_image import Places, main_heatmap, show_picture
from defectvision.web.review import panel as review_panel
from defectvision.web.session.store import who
from defectvision.web.session.work import current
from defectvision.web.verdict_card import verdict_card

work = current()
results, loaded = open_batch(work, "Review", ":material/how_to_reg:")
policy = work.policies.of(loaded)
with st.sidebar:
    name = who()
    second = st.toggle(
        "Second opinion",
        key="second-opinion",
        persist_state="session",
        help="Images that somebody else has decided on, and you have not.",
    )
    blind = st.toggle(
        "Hide what the model says",
        key="blind",
        persist_state="session",
        help="For an agreement study: decide without verdict, label and heatmap.",
    )
    export_menu([review_panel.labelled_set(results)])

if not name:
    st.subheader("Review", icon=":material/how_to_reg:")
    st.info("Give your name on the left: decisions are kept under it.", icon=":material/badge:")
    st.stop()
found, waiting = review_panel.next_image(results, policy, name, second)
if found is None:
    st.subheader("Review", icon=":material/how_to_reg:")
    st.success(
        "Nothing waits for a second opinion of yours."
        if second
        else "Every image of this batch is decided on.",
        icon=":material/task_alt:",
    )
    review_panel.undo_button(results, name)
    review_panel.agreement_table(results, policy)
    st.stop()

image = stored_image(work, found, policy)
if image is None:
    st.stop()
places = Places.for_image(image)
with places.panel:
    more = "+" if waiting == MOST else ""
    waits = "waits" if waiting == 1 else "wait"
    st.html(heading(found.name, f"{waiting:,}{more} {waits}, the most doubtful first"))
    review_panel.decision_buttons(results, found, policy, name)
    if not blind:
        verdict_card(image, policy, loaded)
show_picture(places, image, main_heatmap(image.inspection, policy, loaded), blind)
with places.side:
    review_panel.agreement_table(results, policy)
