"""The upper part of the Dataset page: name, leading figures, the report, and what is wrong."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from defectvision.audit.shortcuts import warnings
from defectvision.audit.study import Stage, Study
from defectvision.data import statistics
from defectvision.data.leaks import leaks
from defectvision.report.dataset.parts import study_html
from defectvision.report.dataset.words import independent_scenes
from defectvision.words import counted, duration, plain

FAILURES = 50  # named; the others are counted
NARROWEST = 120  # px of a figure
LATER = "…"  # a figure that is not known yet


def empty_state() -> None:
    """What to do while no set is open."""
    st.subheader("Dataset", icon=":material/database:")
    st.markdown(
        "Choose a labelled set on the left and press **Open**. A folder of class folders, an "
        "`index.csv`, COCO, YOLO, LabelMe and Pascal VOC annotations, Severstal's tables and "
        "published sets such as MVTec AD, NEU or DAGM are read as they are."
    )
    st.caption(
        "Shown are the class balance and the weights it calls for, sizes and places of the "
        "defects, odd pictures, near-copies and leaks between the splits with a corrected split, "
        "what besides the part gives the label away, and a map of the pictures."
    )


def nameless(path: Path) -> None:
    """The heading of a set whose labels are not read yet."""
    st.subheader(plain(path.name), icon=":material/database:")


def heading(study: Study) -> None:
    """Name, the figures that matter most, and the report."""
    catalog = study.catalog
    name, actions = st.columns([7, 4], vertical_alignment="bottom")
    name.subheader(plain(catalog.name), icon=":material/database:")
    name.caption(plain(f"Layout: {catalog.layout}{_source(study)}"))
    with actions.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(
            "Report",
            lambda: study_html(study),
            f"{_stem(catalog.name)}_data_report.html",
            "text/html",
            key="report",
            icon=":material/description:",
            on_click="ignore",
            disabled=study.stage < Stage.COPIES,
            help="The whole page as one HTML file that needs no network, as soon as all of it is "
            "there.",
        )
    tiles = _tiles(study)
    with st.grid(len(tiles), min_column_width=NARROWEST):
        for label, value in tiles:
            st.metric(label, value)


def _source(study: Study) -> str:
    if study.stage < Stage.COPIES:
        return ""
    return "; from the cache" if study.from_cache else f"; read in {duration(study.seconds)}"


def _tiles(study: Study) -> list[tuple[str, str]]:
    balance = statistics.class_balance(study.catalog)
    ratio = statistics.imbalance_ratio(balance)
    _, majority = statistics.majority_accuracy(study.catalog)
    tiles = [
        ("Images", f"{len(study.catalog):,}"),
        ("Classes", f"{len(balance)}"),
        ("Imbalance", f"{ratio:,.1f} : 1" if ratio else "–"),
        ("Majority accuracy", f"{majority:.1%}"),
    ]
    if study.image_set.has_images:
        known = study.stage >= Stage.COPIES
        tiles += [
            ("Independent scenes", f"{independent_scenes(study):,}" if known else LATER),
            ("Leaking groups", f"{len(leaks(study.grouped)):,}" if known else LATER),
        ]
    return tiles


def messages(study: Study) -> None:
    """What is wrong with the set, the gravest first."""
    if study.stage >= Stage.COPIES:
        for text in warnings(study.shortcuts):
            st.warning(plain(text), icon=":material/warning:")
    for text in study.catalog.warnings:
        st.info(plain(text), icon=":material/info:")
    if study.failures:
        count = len(study.failures)
        with st.expander(
            f"{counted(count, 'file')} could not be used; the rest is shown",
            icon=":material/broken_image:",
        ):
            st.markdown("\n".join(f"- {plain(text)}" for text in study.failures[:FAILURES]))
            if count > FAILURES:
                st.caption(f"and {count - FAILURES} more")


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)[:60] or "set"
