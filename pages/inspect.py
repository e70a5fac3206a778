"""Drop images in, see what the model says and why."""

import streamlit as st

from defectvision.people import Action
from defectvision.web.cards import facts, inspection_facts
from defectvision.web.choices import choose_bundle, choose_line
from defectvision.web.export_menu import export_menu
from defectvision.web.inspect import exports
from defectvision.web.inspect.empty_state import empty_state
from defectvision.web.inspect.explanation import explanation
from defectvision.web.inspect.intake import (
    files_passed_over,
    inspect_pending,
    intake,
    upload_errors,
)
from defectvision.web.inspect.overview import dropped_image, results_table, scores, steps, tiles
from defectvision.web.links import new_line_way
from defectvision.web.open_image import Places, show_picture
from defectvision.web.policy.controls import marking_of, policy_controls
from defectvision.web.policy.what_if import what_if
from defectvision.web.session.people import acting, lacking
from defectvision.web.session.store import read_policy_in_force
from defectvision.web.session.work import current
from defectvision.web.verdict_card import verdict_card

work = current()
notices = st.container()
person = acting()
if said := lacking(person, Action.INSPECT, named=False):
    st.subheader("Inspect", icon=":material/center_focus_strong:")
    st.info(said, icon=":material/badge:")
    st.stop()
with st.sidebar:
    line = choose_line(notices)
    new_line_way(person, "beside")
    loaded = choose_bundle(line, notices) if line else None
    if loaded is not None and read_policy_in_force(work, loaded, notices) is None:
        st.stop()
    if loaded is not None:
        intake(work, loaded.line)
        errors_slot = st.container()
        policy = policy_controls(work, loaded)
if line is None or loaded is None:
    st.stop()
if inspect_pending(work, loaded, person):
    st.rerun()

what_if(work, loaded, policy)
results = work.images.results(line.name, loaded.version)
with errors_slot:
    upload_errors(results)
    files_passed_over(work, line.name)
opened = work.images.open_result(line.name, results)
if opened is None:
    empty_state(work, line, loaded, failed=bool(results))
image = dropped_image(work, opened, policy)
places, leaving = Places.for_image(image), []

if opened is not None and image is not None:
    data = work.images.content[image.digest]
    with places.first:
        steps(work, line, results, opened)
        verdict_card(image, policy, loaded)
    with places.panel:
        heatmap = explanation(work, loaded, policy, image, data)
        st.html(facts(inspection_facts(image.inspection, heatmap.class_name)))
    show_picture(places, image, heatmap, policy, loaded, marking_of(work, loaded, image))
    leaving.append(exports.of_image(data, image, heatmap, policy, loaded))
if results:
    leaving.append(exports.of_all(results, policy, loaded))
    with places.side:
        results_table(work, results, policy, loaded, opened)
    with places.panel:
        export_menu(leaving)
        tiles(results, policy, loaded)
        if line.can_accept:
            scores(results, policy, opened)
