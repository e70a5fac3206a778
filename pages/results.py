"""A batch under the policy: filter, look, export, report."""

import streamlit as st

from defectvision.inference.heatmap import evidence_heatmap
from defectvision.report.batch_export import Leaving
from defectvision.report.looks import SYNTHETIC
from defectvision.settings import settings
from defectvision.store.batches import count_images
from defectvision.store.errors import StoreError
from defectvision.web import cards
from defectvision.web.batch import view as batch_view
from defectvision.web.batch.charts import pareto_chart, score_histogram
from defectvision.web.batch.export_menu import export_menu
from defectvision.web.inspect.result_panel import verdict_card
from defectvision.web.policy.controls import policy_controls, save_policy
from defectvision.web.session_store import who
from defectvision.web.state import current, file_stem
from defectvision.web.viewer.component import is_wide, picture_viewer, regions_table
from defectvision.words import plain

SIDES = [9, 4]  # the picture, and what is known about it

work = current()
results, loaded = batch_view.open_batch(work, "Results", ":material/table_view:")
store = results.store
with st.sidebar:
    policy = policy_controls(work, loaded)
    name = who()
    save_policy(work, store, loaded, policy, name)
    st.subheader("Filter")
    view = batch_view.filters(results, policy)

found = results.summary(view.selection)
with store.reading() as session:
    counts = count_images(session, results.batch.id)
top = st.container(horizontal=True, vertical_alignment="center")
top.subheader(plain(results.batch.title), icon=":material/table_view:")
in_force = work.in_force(loaded)
which = in_force.words + ("" if policy == in_force.policy else ", changed and not saved")
leaving = Leaving(
    results, view.selection, which, loaded.bundle.temperature, settings().limits.pixels
)
with top:
    stem = f"defectvision_{file_stem(results.batch.title)}_{results.batch.id}"
    export_menu(leaving.formats(), stem, found.images)
batch_view.tiles(results, found, counts.failed)
across = st.container()
picture_side, panel = st.columns(SIDES, gap="medium")
with panel:
    opened = batch_view.steps(results, view, found.images)
    if opened is not None:
        try:
            picture = opened.picture()
            whole = opened.inspection
            regions = opened.regions(policy)
        except StoreError as error:
            st.error(plain(str(error)), icon=":material/error:")
            st.stop()
        verdict_card(whole, policy, loaded, regions)
        class_name = whole.main_class(policy)
        st.html(cards.facts(cards.inspection_facts(whole, class_name)))
        if picture is None:
            st.info("The picture was not kept, or its days are over.", icon=":material/image:")
if opened is not None and picture is not None:
    heatmap = evidence_heatmap(whole, class_name, loaded.bundle.temperature)
    mark = SYNTHETIC.capitalize() if opened.row.synthetic else ""
    with across if is_wide(whole) else picture_side:
        picture_viewer(picture, opened.row.digest, whole, heatmap, mark)
    with picture_side:
        regions_table(opened.row.digest, whole, policy)
with panel:
    st.caption("Defects by class")
    st.plotly_chart(
        pareto_chart(found, results.line), key="pareto", config={"displayModeBar": False}
    )
    if results.line.can_accept:
        st.caption("Defect scores, with the policy's zones")
        figure = score_histogram(found, policy)
        st.plotly_chart(figure, key="scores", config={"displayModeBar": False})
with picture_side:
    if found.images:
        batch_view.table(results, view, found.images)
    elif counts.done:
        st.info(
            "No image of this batch passes the filter on the left.", icon=":material/filter_alt:"
        )
    else:
        st.info("Nothing of this batch is inspected yet.", icon=":material/hourglass:")
