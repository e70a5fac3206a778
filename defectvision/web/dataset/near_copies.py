"""Near-copies on the Dataset page: the groups, what leaks, and a split that does not."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.data.leaks import corrected_split, leaks
from defectvision.report.dataset import words
from defectvision.web.dataset.picked import pick_rows, table_key
from defectvision.words import plain


def near_copies(study: Study) -> None:
    """Groups, leaks, and the corrected split."""
    if not study.image_set.has_images:
        st.info("Near-copies need images.", icon=":material/info:")
        return
    leaking = leaks(study.grouped)
    if len(leaking):
        st.error(plain(words.of_leaks(study)), icon=":material/report:")
    else:
        st.success(plain(words.of_leaks(study)), icon=":material/check_circle:")
    if not study.groups:
        st.info(plain(words.of_groups(study)), icon=":material/info:")
    _split_download(study.grouped)
    if study.groups:
        _group_table(study, set(leaking["photo_group"]))


def _split_download(grouped: Catalog) -> None:
    try:
        index = corrected_split(grouped).index_csv()
    except CatalogError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return
    st.download_button(
        "Corrected split",
        index,
        "index.csv",
        "text/csv",
        key="split",
        icon=":material/call_split:",
        on_click="ignore",
        help="index.csv in the same proportions with every photo group kept whole; put it "
        "beside the images.",
    )


def _group_table(study: Study, leaking: set[str]) -> None:
    names = study.grouped.table["photo_group"]
    paths = study.catalog.table["path"]
    labels = statistics.label_sets(study.catalog)
    table = pd.DataFrame(
        {
            "images": [len(g.images) for g in study.groups],
            "most differ by": [g.kind for g in study.groups],
            "leaks": [names.iloc[g.images[0]] in leaking for g in study.groups],
            "classes": [
                ", ".join(sorted({words.class_in_words(n) for i in g.images for n in labels[i]}))
                for g in study.groups
            ],
            "first file": [paths.iloc[g.images[0]] for g in study.groups],
        }
    )
    st.markdown("**Groups** (select rows to see their images)")
    event = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=table_key("groups"),
        height=280,
    )
    if chosen := event.selection.rows:
        pick_rows("groups", [i for row in chosen for i in study.groups[row].images])
