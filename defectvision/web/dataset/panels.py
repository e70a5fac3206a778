"""The Dataset page piece by piece: headings, charts that open their images, lists, downloads."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from defectvision.audit import pictures
from defectvision.audit.shortcuts import warnings
from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.data.catalog import CatalogError
from defectvision.data.leaks import corrected_split, index_csv, leaks
from defectvision.inference.images import ImageError
from defectvision.report.dataset import words
from defectvision.report.dataset.parts import report_parts
from defectvision.report.dataset.sections import Block, map_block
from defectvision.report.dataset.selection import chosen_images, say, token, tokens_of
from defectvision.report.dataset.words import plain
from defectvision.web.dataset.pictures import LARGE, SMALL, marked_picture
from defectvision.web.dataset.predictions import prediction_controls

PICKED = "picked"  # session key: the filters behind the marks that were clicked
PER_PAGE = 12
NO_REGIONS = "This set has no masks, boxes or areas: sizes and places of the defects are unknown."
NO_PICTURES = "Without images there is nothing to measure here."
NO_SHORTCUTS = "Shortcuts need images of two classes, at least 10 of each."


def empty_state() -> None:
    """What to do while no set is open."""
    st.subheader("Dataset", icon=":material/database:")
    st.markdown(
        "Give the folder of a labelled set on the left and press **Open**. A folder of class "
        "folders, an `index.csv`, a COCO file, Severstal's tables and the published casting, NEU "
        "and magnetic-tile layouts are read as they are."
    )
    st.caption(
        "Shown are the class balance and the weights it calls for, sizes and places of the "
        "defects, odd pictures, near-copies and leaks between the splits with a corrected split, "
        "what besides the part gives the label away, and a map of the pictures."
    )


def heading(study: Study, write_report: Callable[..., str]) -> None:
    """Name, the figures that matter most, and the report."""
    catalog = study.catalog
    balance = statistics.class_balance(catalog)
    ratio = statistics.imbalance_ratio(balance)
    grouped = study.grouped
    scenes = len(set(grouped.groups()))
    _, majority = statistics.majority_accuracy(catalog)
    name, actions = st.columns([7, 4], vertical_alignment="bottom")
    name.subheader(plain(catalog.name), icon=":material/database:")
    how = "from the cache" if study.from_cache else f"read in {study.seconds:.0f} s"
    name.caption(plain(f"Layout: {catalog.layout}; {how}"))
    with actions.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(
            "Report",
            lambda: write_report(**report_parts(study)),
            f"{_stem(catalog.name)}_data_report.html",
            "text/html",
            key="report",
            icon=":material/description:",
            on_click="ignore",
            help="The whole page as one HTML file that needs no network.",
        )
    tiles = [
        ("Images", f"{len(catalog):,}"),
        ("Classes", f"{len(balance)}"),
        ("Imbalance", f"{ratio:,.1f} : 1" if ratio else "–"),
        ("Majority accuracy", f"{majority:.1%}"),
    ]
    if study.image_set.has_images:
        tiles += [
            ("Independent scenes", f"{scenes:,}"),
            ("Leaking groups", f"{len(leaks(grouped)):,}"),
        ]
    for column, (label, value) in zip(st.columns(len(tiles)), tiles, strict=True):
        column.metric(label, value)


def messages(study: Study) -> None:
    """What is wrong with the set, the gravest first."""
    for text in warnings(study.shortcuts):
        st.warning(plain(text), icon=":material/warning:")
    for text in study.catalog.warnings:
        st.info(plain(text), icon=":material/info:")
    if study.failures:
        shown = study.failures[:50]
        with st.expander(
            f"{len(study.failures)} files could not be used; the rest is shown",
            icon=":material/broken_image:",
        ):
            st.markdown("\n".join(f"- {plain(text)}" for text in shown))
            if len(study.failures) > len(shown):
                st.caption(f"and {len(study.failures) - len(shown)} more")


def blocks(study: Study, found: list[Block], otherwise: str = "") -> None:
    """Charts in two columns, each with its sentence; a click on a mark opens its images."""
    if not found:
        if otherwise:
            st.info(otherwise, icon=":material/info:")
        return
    wide = [block for block in found if block.key in ("position", "shortcuts")]
    small = [block for block in found if block not in wide]
    for start in range(0, len(small), 2):
        row = small[start : start + 2]
        for column, block in zip(st.columns(2, gap="medium"), row, strict=False):
            with column:
                _chart(study, block)
    for block in wide:
        _chart(study, block)


def _chart(study: Study, block: Block, modes: tuple[str, ...] = ("points",)) -> None:
    key = f"chart-{study.key[:8]}-{block.key}"
    st.plotly_chart(
        block.figure,
        key=key,
        on_select=lambda: _take(key),
        selection_mode=modes,
        config={"displayModeBar": len(modes) > 1, "displaylogo": False},
        alt=block.figure.layout.title.text,
    )
    st.caption(plain(block.sentence))


def _take(key: str) -> None:
    """Keep what was clicked; a click beside the marks clears it."""
    event = st.session_state.get(key) or {}
    points = (event.get("selection") or {}).get("points") or []
    pick(tokens_of(points))


def pick(tokens: list[str]) -> None:
    """Show these images in the browser, from its first page."""
    st.session_state[PICKED] = tokens
    st.session_state["page"] = 1


def weights(study: Study) -> None:
    """Class weights ready to paste into a recipe."""
    table = statistics.class_weights(statistics.class_balance(study.catalog))
    if len(table) < 2:
        return
    st.markdown("**Class weights for a recipe**")
    sides = st.columns(2, gap="medium")
    for side, column, title in zip(
        sides, ("inverse", "effective"), ("Inverse frequency", "Effective number"), strict=True
    ):
        side.caption(title)
        side.code(statistics.recipe_lines(table, column), language="yaml")


def extremes(study: Study) -> None:
    """The smallest and largest regions of each class, to look at."""
    regions = study.regions
    if regions.empty or not study.image_set.has_images:
        return
    st.markdown("**Smallest and largest examples**")
    rows = []
    for label, some in regions.groupby("label"):
        ordered = some.sort_values("area_px")
        rows += [(label, "smallest", *_example(ordered.iloc[0]))]
        rows += [(label, "largest", *_example(ordered.iloc[-1]))]
    table = pd.DataFrame(rows, columns=["class", "which", "area, px", "length, px", "image"])
    paths = study.catalog.table["path"]
    shown = table.assign(file=[paths.iloc[int(i)] for i in table["image"]]).drop(columns="image")
    event = st.dataframe(
        shown, hide_index=True, on_select="rerun", selection_mode="single-row", key="extremes"
    )
    if chosen := event.selection.rows:
        _pick_once("extremes", [token(image=int(table["image"].iloc[chosen[0]]))])


def _example(row: pd.Series) -> tuple[int, int, int]:
    return int(row["area_px"]), round(float(row["length_px"] or 0)), int(row["image"])


def odd_ones(study: Study) -> None:
    """Pictures far from the usual values."""
    odd = pictures.outliers(study.pictures) if len(study.pictures) else pd.DataFrame()
    if odd.empty:
        return
    st.markdown(f"**Odd ones out** ({odd['image'].nunique()} images)")
    shown = pd.DataFrame(
        {
            "file": odd["path"],
            "measure": [pictures.MEASURES[m][0] for m in odd["measure"]],
            "value": odd["value"].round(2),
            "usual": odd["usual"].round(2),
            "unit": [pictures.MEASURES[m][1] for m in odd["measure"]],
        }
    )
    event = st.dataframe(
        shown, hide_index=True, on_select="rerun", selection_mode="multi-row", key="odd", height=260
    )
    if rows := event.selection.rows:
        _pick_once("odd", [token(image=int(odd["image"].iloc[r])) for r in rows])


def near_copies(study: Study) -> None:
    """Groups, leaks, and the corrected split."""
    if not study.image_set.has_images:
        st.info("Near-copies need images.", icon=":material/info:")
        return
    grouped = study.grouped
    found = leaks(grouped)
    say_it = st.error if len(found) else st.success
    say_it(
        plain(words.of_leaks(study)),
        icon=":material/report:" if len(found) else ":material/check_circle:",
    )
    if not study.groups:
        st.info(plain(words.of_groups(study)), icon=":material/info:")
    try:
        text = index_csv(corrected_split(grouped))
    except CatalogError as error:
        st.info(plain(str(error)), icon=":material/info:")
    else:
        st.download_button(
            "Corrected split",
            text,
            "index.csv",
            "text/csv",
            key="split",
            icon=":material/call_split:",
            on_click="ignore",
            help="index.csv in the same proportions with every photo group kept whole; put it "
            "beside the images.",
        )
    if not study.groups:
        return
    leaking = set(found["photo_group"])
    names = grouped.table["photo_group"]
    table = pd.DataFrame(
        {
            "images": [len(g.images) for g in study.groups],
            "most differ by": [g.kind for g in study.groups],
            "leaks": [names.iloc[g.images[0]] in leaking for g in study.groups],
            "classes": [
                ", ".join(sorted({words.clean(n) for i in g.images for n in _labels(study, i)}))
                for g in study.groups
            ],
            "first file": [study.catalog.table["path"].iloc[g.images[0]] for g in study.groups],
        }
    )
    st.markdown("**Groups** (select rows to see their images)")
    event = st.dataframe(
        table, hide_index=True, on_select="rerun", selection_mode="multi-row", key="groups",
        height=280,
    )  # fmt: skip
    if rows := event.selection.rows:
        images = [i for r in rows for i in study.groups[r].images]
        _pick_once("groups", [token(image=int(i)) for i in images])


def _labels(study: Study, image: int) -> tuple[str, ...]:
    return statistics.label_names(study.catalog.table["label"].iloc[image]) or (statistics.GOOD,)


def contradictions(study: Study) -> None:
    """Images of one photograph with different labels."""
    found = study.grouped.contradictions()
    if found.empty:
        return
    count = found["photo_group"].nunique()
    st.markdown(f"**Contradicting labels** ({count} groups)")
    st.caption("One photograph with different labels: one of them is wrong. Correct it at the "
               "source before training.")  # fmt: skip
    shown = found[["photo_group", "label", "path"]].rename(columns={"photo_group": "group"})
    event = st.dataframe(
        shown, hide_index=True, on_select="rerun", selection_mode="multi-row", key="conflicts",
        height=240,
    )  # fmt: skip
    if rows := event.selection.rows:
        _pick_once("conflicts", [token(image=int(found.index[r])) for r in rows])


def map_panel(study: Study) -> None:
    """The 2-D map; a lasso chooses images."""
    if len(study.map) < 3:
        st.info("The map needs at least three readable images.", icon=":material/info:")
        return
    choices = ["class", "near-copies", "prediction"]
    if (study.catalog.table["split"] != "").any():
        choices.insert(1, "split")
    by = st.segmented_control("Colour", choices, default="class", required=True, key="map-colour")
    predictions = prediction_controls(study) if by == "prediction" else None
    if by == "prediction" and predictions is None:
        return
    _chart(study, map_block(study, by, predictions), ("points", "lasso"))


def _pick_once(source: str, tokens: list[str]) -> None:
    """A table keeps its selection between runs: only a change of it may move the browser."""
    if st.session_state.get(f"last-{source}") != tokens:
        st.session_state[f"last-{source}"] = tokens
        pick(tokens)


def browser(study: Study) -> None:
    """The images that the filters and the clicked marks leave, with masks."""
    catalog = study.catalog
    tokens = st.session_state.get(PICKED) or []
    rows = chosen_images(study, tokens) if tokens else range(len(catalog))
    labels = statistics.label_sets(catalog)
    title, clear = st.columns([5, 2], vertical_alignment="center")
    with st.container(horizontal=True):
        classes = sorted({name for names in labels for name in names})
        of_class = st.selectbox("Class", ["all", *classes], key="filter-class")
        splits = [
            name for name in ("train", "val", "test") if (catalog.table["split"] == name).any()
        ]
        of_split = st.selectbox("Split", ["all", *splits], key="filter-split") if splits else "all"
        order = st.selectbox("Order", _orders(study), key="filter-order")
    images = [
        int(i)
        for i in rows
        if (of_class == "all" or of_class in labels.iloc[i])
        and (of_split == "all" or catalog.table["split"].iloc[i] == of_split)
    ]
    images = _ordered(study, images, order)
    title.markdown(f"**{len(images):,} images**")
    if tokens:
        title.caption(plain(say(tokens)))
        clear.button("Show all", icon=":material/filter_alt_off:", on_click=pick, args=([],))
    if not study.image_set.has_images:
        st.caption("Only labels are here. The first files:")
        st.dataframe(catalog.table.iloc[images[:200]][["path", "label"]], hide_index=True)
        return
    if not images:
        st.info("No image fits. Choose other filters, or Show all.", icon=":material/info:")
        return
    pages = -(-len(images) // PER_PAGE)
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = 1
    masks = st.toggle("Masks", value=True, key="masks") if _has_masks(study) else False
    page = int(st.session_state.get("page", 1))
    _grid(study, images[(page - 1) * PER_PAGE : page * PER_PAGE], masks)
    if pages > 1:
        st.number_input(f"Page of {pages}", 1, pages, key="page")


def _grid(study: Study, images: list[int], masks: bool) -> None:
    across = 3
    for start in range(0, len(images), across):
        for column, image in zip(st.columns(across), images[start : start + across], strict=False):
            with column:
                _tile(study, image, masks)


def _tile(study: Study, image: int, masks: bool) -> None:
    row = study.catalog.table.iloc[image]
    name = row["path"].rsplit("/", 1)[-1]
    label = ", ".join(words.clean(n) for n in _labels(study, image))
    try:
        st.image(
            marked_picture(study, image, SMALL, masks), width="stretch", alt=f"{label}: {name}"
        )
    except (ImageError, OSError) as error:
        st.caption(plain(str(error)))
        return
    where = f" · {row['split']}" if row["split"] else ""
    if st.button(
        plain(f"{label}{where}"), key=f"open-{image}", type="tertiary", help=plain(row["path"])
    ):
        _large(study, image)


@st.dialog("Image", width="large")
def _large(study: Study, image: int) -> None:
    row = study.catalog.table.iloc[image]
    st.image(marked_picture(study, image, LARGE), width="stretch")
    measured = study.pictures[study.pictures["image"] == image]
    facts = [row["path"], f"class {', '.join(words.clean(n) for n in _labels(study, image))}"]
    if len(measured):
        m = measured.iloc[0]
        facts.append(f"{m['width']:.0f} × {m['height']:.0f} px")
        facts.append(f"brightness {m['brightness']:.0f}, contrast {m['contrast']:.0f}")
    regions = study.regions[study.regions["image"] == image]
    if len(regions):
        areas = ", ".join(f"{a:,.0f}" for a in sorted(regions["area_px"], reverse=True)[:6])
        facts.append(f"{len(regions)} regions of {areas} px")
    st.caption(plain("; ".join(facts)))


def _has_masks(study: Study) -> bool:
    return len(study.image_set.annotations) > 0 or (study.catalog.table["mask"] != "").any()


def _orders(study: Study) -> list[str]:
    found = ["file"]
    if len(study.pictures):
        found += ["darkest", "brightest", "blurred first"]
    if len(study.regions):
        found += ["largest defect", "smallest defect"]
    return found


def _ordered(study: Study, images: list[int], order: str) -> list[int]:
    by = {"darkest": ("brightness", 1), "brightest": ("brightness", -1),
          "blurred first": ("sharpness", 1)}  # fmt: skip
    if order in by:
        column, sign = by[order]
        value = dict(zip(study.pictures["image"], sign * study.pictures[column], strict=True))
    elif order.endswith("defect"):
        areas = study.regions.groupby("image")["area_px"]
        sizes = -areas.max() if order.startswith("largest") else areas.min()
        value = sizes.to_dict()
    else:
        return images
    return sorted(images, key=lambda i: (value.get(i, float("inf")), i))


def _stem(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)[:60] or "set"
