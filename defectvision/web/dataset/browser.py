"""The images of a set with their masks: those that filters and clicked marks leave."""

from __future__ import annotations

import streamlit as st

from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.data.catalog import SPLITS
from defectvision.data.image_head import image_size
from defectvision.inference.images import ImageError
from defectvision.report.dataset.selection import (
    chosen_images,
    filtered,
    in_words,
    ordered,
    orders,
)
from defectvision.report.dataset.words import class_in_words
from defectvision.web.dataset.picked import LARGE, PAGE, pick, picked
from defectvision.web.dataset.pictures import SMALL, WHOLE, marked_picture
from defectvision.web.widgets import part_of_more
from defectvision.words import counted, plain

PER_PAGE = 12
ACROSS = 3
NARROWEST = 80  # px of a picture
STRIP = 3  # times as wide as high
LISTED = 200  # files of a set without images
ALL = "all"


def browser(study: Study) -> None:
    """The images that the filters and the clicked marks leave, with masks."""
    catalog = study.catalog
    tokens = picked()
    title, clear = st.columns([5, 2], vertical_alignment="center")
    images = _filters(study, chosen_images(study, tokens) if tokens else None)
    title.markdown(f"**{counted(len(images), 'image')}**")
    if tokens:
        title.caption(plain(in_words(tokens)))
        clear.button("Show all", icon=":material/filter_alt_off:", on_click=pick, args=([],))
    if not study.image_set.has_images:
        st.caption("Only labels are here. The first files:")
        with part_of_more(len(images) > LISTED):
            st.dataframe(catalog.table.iloc[images[:LISTED]][["path", "label"]], hide_index=True)
        return
    if not images:
        st.info("No image fits. Choose other filters, or Show all.", icon=":material/info:")
        return
    pages = -(-len(images) // PER_PAGE)
    if st.session_state.get(PAGE, 1) > pages:
        st.session_state[PAGE] = 1
    masks = st.toggle("Masks", value=True, key="masks") if study.image_set.has_masks else False
    page = int(st.session_state.get(PAGE, 1))
    shown = images[(page - 1) * PER_PAGE : page * PER_PAGE]
    across = 1 if _is_strip(study, shown[0]) else ACROSS
    with (
        st.container(key="set-images"),
        st.grid(across, min_column_width=NARROWEST, vertical_alignment="bottom") as grid,
    ):
        for image in shown:
            with grid.cell():
                _tile(study, image, masks)
    if pages > 1:
        st.number_input(f"Page of {pages}", 1, pages, key=PAGE)
    opened = st.session_state.get(LARGE)
    if opened is not None:  # asked for at each run: one that is not asked for closes
        _large(study, opened)


def _filters(study: Study, rows: list[int] | None) -> list[int]:
    """The widgets that filter and order the images `rows`, all where None."""
    catalog = study.catalog
    with st.container(horizontal=True):
        labels = statistics.label_sets(catalog)
        classes = sorted({name for names in labels for name in names})
        label = st.selectbox("Class", [ALL, *classes], key="filter-class")
        splits = [name for name in SPLITS if (catalog.table["split"] == name).any()]
        split = st.selectbox("Split", [ALL, *splits], key="filter-split") if splits else ALL
        order = st.selectbox("Order", orders(study), key="filter-order")
    images = filtered(study, rows, None if label == ALL else label, None if split == ALL else split)
    return ordered(study, images, order)


def _is_strip(study: Study, image: int) -> bool:
    """Whether an image is so wide that beside others nothing of it could be seen."""
    height, width = image_size(study.catalog.image_path(image)) or (1, 1)
    return width >= STRIP * height


def _tile(study: Study, image: int, masks: bool) -> None:
    row = study.catalog.table.iloc[image]
    name = row["path"].rsplit("/", 1)[-1]
    label = _label(study, image)
    try:
        picture = marked_picture(study, image, SMALL, masks)
    except ImageError as error:
        st.caption(plain(str(error)))
        return
    st.image(picture, width="stretch", alt=f"{label}: {name}")
    split = f" · {row['split']}" if row["split"] else ""
    st.button(
        plain(f"{label}{split}"),
        key=f"open-{image}",
        type="tertiary",
        help=plain(row["path"]),
        on_click=_open,
        args=(image,),
    )


def _open(image: int | None = None) -> None:
    """Show an image large, or none."""
    st.session_state[LARGE] = image


@st.dialog("Image", width="large", on_dismiss=_open)
def _large(study: Study, image: int) -> None:
    try:
        st.image(marked_picture(study, image, WHOLE), width="stretch")
    except ImageError as error:
        st.error(plain(str(error)), icon=":material/error:")
    facts = [study.catalog.table["path"].iloc[image], f"class {_label(study, image)}"]
    measured = study.pictures[study.pictures["image"] == image]
    if len(measured):
        m = measured.iloc[0]
        facts.append(f"{m['width']:.0f} × {m['height']:.0f} px")
        facts.append(f"brightness {m['brightness']:.0f}, contrast {m['contrast']:.0f}")
    regions = study.regions[study.regions["image"] == image]
    if len(regions):
        areas = ", ".join(f"{a:,.0f}" for a in sorted(regions["area_px"], reverse=True)[:6])
        facts.append(f"{counted(len(regions), 'region')} of {areas} px")
    st.caption(plain("; ".join(facts)))


def _label(study: Study, image: int) -> str:
    names = statistics.labels_of(study.catalog.table["label"].iloc[image])
    return ", ".join(map(class_in_words, names))
