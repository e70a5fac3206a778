"""A batch under the policy: filter, look, decide, export, report."""

import streamlit as st

from defectvision.report.batch_export import Leaving
from defectvision.settings import settings
from defectvision.store.batches import count_images
from defectvision.store.selection import EVERYTHING
from defectvision.web.batch import browser
from defectvision.web.batch.charts import defect_charts
from defectvision.web.batch.filters import filters
from defectvision.web.batch.opening import measured, open_batch
from defectvision.web.batch.release import release_panel, released_groups, selected_group
from defectvision.web.batch.stored_image import stored_image
from defectvision.web.cards import facts, inspection_facts
from defectvision.web.export_menu import export_menu, file_stem
from defectvision.web.links import changes_link
from defectvision.web.open_image import Places, main_heatmap, show_picture
from defectvision.web.policy.controls import marking_of, policy_controls, save_policy
from defectvision.web.policy.what_if import what_if
from defectvision.web.review.decide import decide_here
from defectvision.web.session.people import who
from defectvision.web.session.work import current
from defectvision.web.verdict_card import decision_card, verdict_card
from defectvision.words import plain

work = current()
results, loaded = open_batch(work, "Results", ":material/table_view:")
with st.sidebar:
    person = who()
    policy = policy_controls(work, loaded)
    save_policy(work, results.store, loaded, policy, person, results.batch.bundle_version)
    measured(results, policy)
    st.subheader("Filter")
    view = filters(results, policy)

what_if(work, loaded, policy)
seen = results.said_so_far()  # before the counts, so that none of them is newer than it
lot = results.summary(results.selection(policy))
found = lot if view.selection.filter == EVERYTHING else results.summary(view.selection)
with results.store.reading() as session:
    counts = count_images(session, results.batch.id)
in_force = work.policies.in_force(loaded)
followed = policy == in_force.policy
which = in_force.words + ("" if followed else ", changed and not saved")
leaving = Leaving(results, view.selection, which, loaded, settings().limits.pixels, followed)
with st.container(horizontal=True, vertical_alignment="center"):
    st.subheader(plain(results.batch.title), icon=":material/table_view:")
    changes_link(results.store, results.batch)
    stem = f"defectvision_{file_stem(results.batch.title)}_{results.batch.id}"
    export_menu(released_groups(results, stem) + selected_group(leaving, stem, found, counts))
    release_panel(work, results, loaded, lot, seen, policy, person)
browser.cautions(results, lot, loaded)
browser.tiles(results, lot, counts.failed)

opened = browser.opened_image(results, view)
image = stored_image(work, opened[0], policy) if opened else None
places = Places.for_image(image)
with places.first:
    if opened is not None:
        browser.steps(results, view, *opened, found.images)
        decision_card(opened[0], results.line)
    if opened is not None and image is not None:
        verdict_card(image, policy, loaded)
        decide_here(results, loaded, opened[0], policy, person)
if image is not None:
    heatmap = main_heatmap(image.inspection, policy, loaded)
    show_picture(places, image, heatmap, policy, loaded, marking_of(work, loaded, image))
    places.panel.html(facts(inspection_facts(image.inspection, heatmap.class_name)))
with places.panel:
    st.caption(f"{found.images:,} of {lot.images:,} shown")
    defect_charts(results.batch.id, found, policy, results.line)
with places.side:
    if found.images:
        browser.table(work, results, view, found.images)
    elif counts.done:
        st.info("No image passes the filter on the left.", icon=":material/filter_alt:")
    else:
        st.info("Nothing of this batch is inspected yet.", icon=":material/hourglass:")
