"""Decide on what waits for a person, and see how far people and model agree."""

import streamlit as st

from defectvision.people import Action
from defectvision.web.batch.browser import cautions
from defectvision.web.batch.opening import measured, open_batch
from defectvision.web.batch.stored_image import stored_image
from defectvision.web.cards import heading
from defectvision.web.export_menu import export_menu
from defectvision.web.links import results_link
from defectvision.web.open_image import Places, main_heatmap, show_picture
from defectvision.web.policy.what_if import what_if
from defectvision.web.review import panel as review_panel
from defectvision.web.review.decide import decision_buttons
from defectvision.web.review.remembering import remember_stopped
from defectvision.web.session.people import lacking, who
from defectvision.web.session.work import current
from defectvision.web.verdict_card import decision_card, verdict_card

work = current()
results, loaded = open_batch(work, "Review", ":material/how_to_reg:")
policy = work.policies.of(loaded)
measured(results, policy)
review_panel.asked_for()
with st.sidebar:
    person = who()
    part = review_panel.choose_part()
    blind = st.toggle(
        "Hide what the model says",
        key="blind",
        persist_state="session",
        help="For an agreement study: decide without verdict, label and heatmap.",
    )
    export_menu([review_panel.labelled_set(results)])

cautions(results, results.summary(results.selection(policy)), loaded)
what_if(work, loaded, policy)
if said := lacking(person, Action.DECIDE):
    st.subheader("Review", icon=":material/how_to_reg:")
    st.info(said, icon=":material/badge:")
    review_panel.agreement_table(results, policy)
    st.stop()
found = review_panel.next_image(results, policy, person.name, part)
if found is None:
    st.subheader("Review", icon=":material/how_to_reg:")
    st.success(
        f"{review_panel.DONE[part]} {review_panel.progress_words(results, policy)}.",
        icon=":material/task_alt:",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        review_panel.undo_button(results, person)
        results_link(results.batch.id, "On to Results, to release the lot")
    remember_stopped(results, loaded, person)
    review_panel.agreement_table(results, policy)
    st.stop()

image = stored_image(work, found, policy)
places = Places.for_image(image)
with places.first:
    decision_buttons(results, found, policy, person)
    review_panel.skip_and_undo(results, found, person)
    st.html(heading(found.name, review_panel.progress_words(results, policy)))
    if not blind:
        decision_card(found, results.line)
        if image is not None:
            verdict_card(image, policy, loaded)
if image is not None:
    heatmap = main_heatmap(image.inspection, policy, loaded)
    show_picture(places, image, heatmap, policy, loaded, blind=blind)
with places.side:
    remember_stopped(results, loaded, person)
    review_panel.agreement_table(results, policy)
