"""A labelled set as files, how far people agree on it, and its end."""

from __future__ import annotations

from functools import partial

import streamlit as st

from defectvision.people import Action, Person
from defectvision.report.taught_set import Labelled, coco_zip, index_zip, yolo_zip
from defectvision.store import labelling
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.tables import LabelledSetRow
from defectvision.web.export_menu import file_stem
from defectvision.web.session.people import acting, lacking, lacking_reason
from defectvision.words import counted, plain

FORMATS = (
    ("index.csv with images and masks", index_zip, ".zip", ":material/folder_zip:"),
    ("COCO", coco_zip, "-coco.zip", ":material/data_object:"),
    ("YOLO segmentation", yolo_zip, "-yolo.zip", ":material/polyline:"),
)


def hand_over(store: Store, row: LabelledSetRow, person: Person) -> None:
    """Downloads for other programs and machines, agreement, and taking the set out of use."""
    labelled = Labelled.of(store, row.id)
    if not labelled.rows:
        st.info("Nothing is labelled yet.", icon=":material/info:")
    else:
        stem = file_stem(row.title)
        st.markdown(
            f"{counted(len(labelled.rows), 'labelled image')} with masks, exact to the pixel. The "
            "folder of `index.csv` is what `defectvision train --data` reads on another machine. "
            "COCO and YOLO leave out what shows a defect that nobody drew: they would call it good."
        )
        with st.container(horizontal=True):
            for title, make, ending, icon in FORMATS:
                st.download_button(
                    title,
                    partial(make, labelled),
                    f"{stem}{ending}",
                    "application/zip",
                    icon=icon,
                    on_click="ignore",
                )
        _agreement(store, row)
    if lacking(person, Action.TEACH):
        return
    with st.expander("Take the set out of use", icon=":material/archive:"):
        why = st.text_input("Why", max_chars=200, help="Its images and labels are kept.")
        said = lacking_reason(person, Action.TEACH, why)
        if st.button("Take it out of use", disabled=bool(said), help=said or None):
            try:
                with store.session() as session:
                    labelling.end_set(session, row.id, acting(), why)
            except StoreError as error:
                st.error(plain(str(error)), icon=":material/error:")
                return
            st.query_params.clear()
            st.rerun()


def _agreement(store: Store, row: LabelledSetRow) -> None:
    st.subheader("Agreement of people", divider="gray")
    try:
        found = labelling.agreement(store, row.id)
    except StoreError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    if not found.images:
        st.caption("No image was labelled by two people yet.")
        return
    with st.container(horizontal=True):
        st.metric("Images that two people labelled", f"{found.images:,}", border=True)
        st.metric("Of them they differ on", f"{len(found.differ):,}", border=True)
        st.metric(
            "Kappa of labels",
            "cannot be told" if found.kappa is None else f"{found.kappa:.2f}",
            border=True,
            help="Cohen's: 1 where they always agree, 0 where no more than by chance.",
        )
        st.metric(
            "IoU of masks",
            "none drawn" if found.iou is None else f"{found.iou:.2f}",
            border=True,
            help="Shared area over the area of both, mean over the masks that two people drew.",
        )
