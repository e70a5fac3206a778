"""Drop images in, see what the model says and why."""

import streamlit as st

from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import Origin
from defectvision.inference.heatmap import EXACT
from defectvision.inference.images import ImageError, decode_image
from defectvision.report.export import regions_csv, result_json, results_csv
from defectvision.report.looks import SYNTHETIC
from defectvision.report.picture import annotated_png
from defectvision.settings import settings
from defectvision.web import cards
from defectvision.web.charts import score_strip
from defectvision.web.choices import choose_bundle, choose_line
from defectvision.web.inspect.explanation import chosen_heatmap
from defectvision.web.inspect.intake import inspect_pending, intake
from defectvision.web.inspect.result_panel import (
    explanation_controls,
    steps,
    upload_errors,
    verdict_card,
)
from defectvision.web.inspect.table import results_table, tiles
from defectvision.web.policy.controls import policy_controls
from defectvision.web.session_store import read_policy_in_force, the_store
from defectvision.web.state import current, file_stem
from defectvision.web.viewer.component import is_wide, picture_viewer, regions_table
from defectvision.words import plain

SIDES = [9, 4]  # the picture, and what is known about it

work = current()
notices = st.container()
with st.sidebar:
    line = choose_line(notices)
    loaded = choose_bundle(line, notices) if line else None
    if loaded is not None:
        store = the_store(notices)
        if store is not None:
            read_policy_in_force(work, store, loaded)
        intake(work, loaded.line)
        errors_slot = st.container()
        policy = policy_controls(work, loaded)
if line is None or loaded is None:
    st.stop()

if inspect_pending(work, loaded):
    st.rerun()
results = work.results(line.name, loaded.version)
with errors_slot:
    upload_errors(results)
opened = work.open_result(line.name, results)

if opened is None:
    cards.empty_state(line, loaded, failed=bool(results))
wide = opened is not None and opened.inspection is not None and is_wide(opened.inspection)
# A strip takes the page's width, above everything else.
across = st.container() if wide else None
picture_side, panel = st.columns(SIDES, gap="medium")

if opened is not None and opened.inspection is not None:
    found, data = opened.inspection, work.content[opened.entry.digest]
    with panel:
        steps(work, line.name, results, opened)
        verdict_card(found, policy, loaded, work.regions(opened, policy))
        class_name, method = explanation_controls(found, policy, loaded)
        try:
            heatmap = chosen_heatmap(work, loaded, found, data, class_name, method)
        except (BundleError, ImageError) as error:
            st.error(plain(str(error)), icon=":material/error:")
            heatmap = chosen_heatmap(work, loaded, found, data, class_name, EXACT)
        st.html(cards.facts(cards.inspection_facts(found, class_name)))

        def as_json() -> str:
            return result_json(found, policy, loaded, opened.entry.synthetic)

        def as_picture() -> bytes:
            image = decode_image(data, opened.entry.name, settings().limits.pixels)
            marked = opened.entry.synthetic
            return annotated_png(image, found, policy, loaded, heatmap, synthetic=marked)

        with st.container(horizontal=True, gap="small"):
            stem = file_stem(opened.entry.name)
            st.download_button(
                "JSON",
                as_json,
                f"{stem}.json",
                "application/json",
                key="json",
                icon=":material/data_object:",
                on_click="ignore",
            )
            st.download_button(
                "Annotated PNG",
                as_picture,
                f"{stem}_annotated.png",
                "image/png",
                key="png",
                icon=":material/image:",
                on_click="ignore",
            )
    with across or picture_side:
        mark = SYNTHETIC.capitalize() if opened.entry.synthetic else ""
        picture_viewer(data, opened.entry.digest, found, heatmap, mark)
    with picture_side:
        regions_table(opened.entry.digest, found, policy)

if results:
    inspections = [r.inspection for r in results if r.inspection is not None]

    drawn = {r.entry.name for r in results if r.entry.synthetic}

    def regions_as_csv() -> str:
        return regions_csv(inspections, policy, Origin.of(loaded), drawn)

    def as_csv() -> str:
        failed = [r.error for r in results if r.error is not None]
        return results_csv(inspections, policy, Origin.of(loaded), failed, drawn)

    with picture_side:
        results_table(work, results, policy, loaded)
    with panel:
        tiles(results, policy, loaded)
        if line.can_accept and inspections:
            scores = [(i.defect_score or 0.0, i.verdict(policy)) for i in inspections]
            names = [i.name for i in inspections]
            st.html(score_strip(scores, policy, names.index(opened.entry.name) if opened else None))
        with st.container(horizontal=True, gap="small"):
            st.download_button(
                "Results as CSV",
                as_csv,
                f"defectvision_{line.name}.csv",
                "text/csv",
                key="csv",
                icon=":material/download:",
                on_click="ignore",
            )
            if loaded.bundle.mask_classes:
                st.download_button(
                    "Regions as CSV",
                    regions_as_csv,
                    f"defectvision_{line.name}_regions.csv",
                    "text/csv",
                    key="regions-csv",
                    icon=":material/download:",
                    on_click="ignore",
                )
