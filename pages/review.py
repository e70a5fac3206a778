"""Decide on doubtful parts, and see how far people and model agree."""

import streamlit as st

from defectvision.inference.heatmap import evidence_heatmap
from defectvision.report.labelled_set import labelled_zip, reviewed_images
from defectvision.report.looks import SYNTHETIC
from defectvision.store.errors import StoreError
from defectvision.web import cards
from defectvision.web.batch import view as batch_view
from defectvision.web.inspect.result_panel import verdict_card
from defectvision.web.review import panel as review_panel
from defectvision.web.session_store import who
from defectvision.web.state import current
from defectvision.web.viewer.component import is_wide, picture_viewer, regions_table
from defectvision.words import plain

SIDES = [9, 4]  # the picture, and what is known about it

work = current()
results, loaded = batch_view.open_batch(work, "Review", ":material/how_to_reg:")
policy = work.policy(loaded)
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
    review_panel.export_button(results, lambda: labelled_zip(reviewed_images(results)))

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

across = st.container()
picture_side, panel = st.columns(SIDES, gap="medium")
try:
    picture, whole = found.picture(), found.inspection
except StoreError as error:
    st.error(plain(str(error)), icon=":material/error:")
    st.stop()
with panel:
    more = "+" if waiting == review_panel.reviews.MOST else ""
    st.html(cards.heading(found.name, f"{waiting:,}{more} wait, the most doubtful first"))
    review_panel.decision_buttons(results, found, policy, name)
    if not blind:
        verdict_card(whole, policy, loaded, found.regions(policy))
    if picture is None:
        st.info("The picture was not kept, or its days are over.", icon=":material/image:")
if picture is not None:
    class_name = whole.main_class(policy)
    heatmap = None if blind else evidence_heatmap(whole, class_name, loaded.bundle.temperature)
    mark = SYNTHETIC.capitalize() if found.row.synthetic else ""
    with across if is_wide(whole) else picture_side:
        picture_viewer(picture, found.row.digest, whole, heatmap, mark)
    if not blind:
        with picture_side:
            regions_table(found.row.digest, whole, policy)
with picture_side:
    review_panel.agreement_table(results, policy)
