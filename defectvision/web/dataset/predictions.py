"""What a bundle says about the images of a set, to colour the map by."""

from __future__ import annotations

import streamlit as st

from defectvision.audit.study import Study
from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.reader import BundleError, find_lines
from defectvision.inference.images import ImageError
from defectvision.report.dataset.words import plain
from defectvision.settings import settings

KEPT = "predictions"  # session key: (study, line) -> label per image


def prediction_controls(study: Study) -> dict[int, str] | None:
    """A line to predict with; the labels it gave, once it has run over the whole set."""
    found = find_lines(settings().weights)
    for problem in found.problems.values():
        st.error(plain(problem), title="A line cannot be read", icon=":material/error:")
    lines = [line.name for line in found.readable]
    if not lines:
        st.info("There is no bundle to predict with. Train one first.", icon=":material/info:")
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        line = st.selectbox("Line", lines, key="map-line", width=240)
        kept = st.session_state.setdefault(KEPT, {})
        known = kept.get((study.key, line))
        if known is None and st.button("Predict all images", icon=":material/play_arrow:"):
            try:
                known = kept[study.key, line] = _predict(study, line)
            except (BundleError, OSError) as error:
                st.error(plain(str(error)), icon=":material/error:")
    return known


def _predict(study: Study, line: str) -> dict[int, str]:
    from defectvision.inference.inspector import load_inspector

    inspector = load_inspector(settings().weights, line, None, settings().limits)
    paths = study.catalog.table["path"]
    images = study.pictures["image"].astype(int).tolist()
    bar = st.progress(0.0, "Predicting")
    files = ((str(i), study.catalog.image_path(i).read_bytes()) for i in images)
    found: dict[int, str] = {}
    for done, inspection in enumerate(inspector.inspect_many(files), 1):
        if not isinstance(inspection, ImageError):
            found[int(inspection.name)] = SEPARATOR.join(inspection.labels(inspector.policy))
        if done % 16 == 0:
            bar.progress(done / len(images), f"Predicting: {done:,} of {len(paths):,}")
    bar.empty()
    return found
