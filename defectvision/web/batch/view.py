"""A batch on the Results page: which one, filtered how, a page of its table."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import FOREIGN, Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.looks import LOOKS, SYNTHETIC, remarks, verdicts_of
from defectvision.settings import ROOT
from defectvision.store import batches, reviews
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.inspections import Summary
from defectvision.store.results import Results
from defectvision.store.selection import Filter, Order, Selection, Sorting
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ReviewRow
from defectvision.web.cards import heading
from defectvision.web.choices import loaded_bundle
from defectvision.web.inspect.table import verdict_column
from defectvision.web.session_store import the_store
from defectvision.web.state import Work
from defectvision.web.widgets import current_key, key_showing
from defectvision.words import plain

ROWS = 25  # of a page of the table
ROW_HEIGHT = 40  # px, room for a thumbnail
ORDERS: dict[Order, str] = {
    "listed": "As listed",
    "defect_score": "Defect score",
    "verdict": "Verdict",
    "label": "Label",
    "name": "Image",
    "foreign_score": "Foreign score",
}
assert set(ORDERS) == set(get_args(Order))


@dataclass(frozen=True)
class View:
    """What of a batch is shown, and how it is sorted."""

    selection: Selection
    sorting: Sorting

    @property
    def key(self) -> int:
        """Of the widgets that belong to the view. A moved threshold leaves them as they are."""
        return hash((self.selection.filter, self.sorting))


def open_batch(work: Work, page: str, icon: str) -> tuple[Results, LoadedBundle]:
    """The batch of the page's address, and its bundle; `work` knows the policy in force then.
    Where something is missing the page says what to do and ends."""
    notices = st.container()
    store = the_store(notices)
    if store is None:
        st.stop()
    with st.sidebar:
        results = choose_batch(store)
    if results is None:
        st.subheader(page, icon=icon)
        st.markdown("There is no batch yet. Start one on the **Batches** page.")
        st.page_link(ROOT / "pages" / "batches.py", label="Batches", icon=":material/inventory_2:")
        st.stop()
    try:
        loaded = loaded_bundle(results.batch.line, results.batch.bundle)
    except BundleError as error:
        st.error(plain(str(error)), title="The bundle is gone", icon=":material/error:")
        st.stop()
    work.know(loaded, results.policy_in_force())
    return results, loaded


def choose_batch(store: Store) -> Results | None:
    """The batch of the page's address, else the newest; None where there is none."""
    with store.reading() as session:
        rows = batches.list_batches(session)
    if not rows:
        return None
    titles = {row.id: f"{row.title} · {row.made:%Y-%m-%d %H:%M}" for row in rows}
    asked = st.query_params.get("batch", "")
    wanted = int(asked) if asked.isdigit() and int(asked) in titles else rows[0].id
    name = "results-batch"

    def chosen(key: str) -> None:
        if key == current_key(name):
            st.query_params["batch"] = str(st.session_state[key])

    key = key_showing(name, wanted)
    st.selectbox(
        "Batch",
        list(titles),
        format_func=titles.__getitem__,
        key=key,
        on_change=chosen,
        args=(key,),
    )
    st.query_params["batch"] = str(wanted)
    try:
        return Results.open(store, wanted)
    except StoreError:  # deleted meanwhile
        return None


def filters(results: Results, policy: Policy) -> View:
    """The widgets that choose what is shown; kept while the session lasts."""
    line, number = results.line, results.batch.id

    def key(name: str) -> str:
        return f"{name}-{number}"

    kept = {"persist_state": "session"}
    verdicts = st.pills(
        "Verdict",
        verdicts_of(line),
        selection_mode="multi",
        format_func=lambda v: LOOKS[v].word,
        key=key("filter-verdict"),
        **kept,
    )
    classes = st.multiselect(
        "Label",
        line.class_names,
        format_func=lambda name: line.title_of(name),
        placeholder="Any",
        key=key("filter-class"),
        **kept,
    )
    low, high = 0.0, 1.0
    if line.can_accept:
        low, high = st.slider(
            "Defect score", 0.0, 1.0, (0.0, 1.0), 0.01, key=key("filter-score"), **kept
        )
    text = st.text_input("Name contains", key=key("filter-text"), icon=":material/search:", **kept)
    reviewed = st.segmented_control(
        "Reviewed",
        ["Any", "Yes", "No"],
        default="Any",
        required=True,
        key=key("filter-reviewed"),
        **kept,
    )
    order = st.selectbox(
        "Sort by", list(ORDERS), format_func=ORDERS.__getitem__, key=key("order"), **kept
    )
    down = st.toggle("Descending", key=key("descending"), **kept)
    chosen = Filter(
        frozenset(verdicts),
        frozenset(classes),
        low,
        high,
        text.strip(),
        {"Any": None, "Yes": True, "No": False}[reviewed or "Any"],
    )
    return View(results.selection(policy, chosen), Sorting(order or "listed", bool(down)))


def tiles(results: Results, found: Summary, failed: int) -> None:
    """Counts under filter and policy."""
    shown = [("Images", f"{found.images:,}")]
    for verdict in verdicts_of(results.line):
        shown.append((LOOKS[verdict].markdown, f"{found.verdicts[verdict]:,}"))
    if results.line.can_accept:
        share = found.yield_share
        shown.append(("Yield", "–" if share is None else f"{share:.1%}"))
    shown.append(("Not inspected", f"{failed:,}"))
    with st.container(key="batch-tiles"), st.grid(len(shown), gap="small", min_column_width=110):
        for label, value in shown:
            st.metric(label, value, border=True)


def table(results: Results, view: View, total: int) -> None:
    """A page of what the filter leaves; a click into a row opens its image."""
    import pandas as pd

    number, line, policy = results.batch.id, results.line, view.selection.policy
    pages = max(1, -(-total // ROWS))
    turned = _page_key(number, view)
    # A moved threshold can leave fewer pages than the one that is open.
    at = st.session_state[turned] = min(st.session_state.get(turned, 1), pages)
    rows = results.page(view.selection, view.sorting, (at - 1) * ROWS, ROWS)
    opened = opened_number(number)
    with results.store.reading() as session:
        decided = reviews.reviews_of(session, [row.id for row in rows])
    content = pd.DataFrame([_row(row, policy, line, decided.get(row.id, [])) for row in rows])
    key = f"rows-{number}-{at}-{view.key}"
    place = next((i for i, row in enumerate(rows) if row.id == opened), None)
    picked = [] if place is None else [place]
    st.session_state[key] = {"selection": {"rows": picked, "columns": [], "cells": []}}

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        picked = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if picked and picked[0] < len(rows):
            open_inspection(number, rows[picked[0]].id)

    masks = bool(results.batch.mask_classes)
    hidden = {} if line.can_accept else {"score": None}
    if not masks:
        hidden |= {"regions": None}
    decimal = st.column_config.NumberColumn
    st.dataframe(
        content,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=min(36 + ROW_HEIGHT * max(1, len(rows)) + 3, 36 + ROW_HEIGHT * 13),
        on_select=clicked,
        selection_mode=["single-row", "single-cell"],
        alt="Inspections of the batch with verdict, label and scores",
        placeholder="",
        column_config={
            "picture": st.column_config.ImageColumn("", width=48),
            "name": st.column_config.TextColumn("Image", width=200),
            "verdict": verdict_column(LOOKS.values(), 110),
            "label": "Label",
            "probability": decimal("Probability", format="%.3f"),
            "score": decimal("Defect score", format="%.3f"),
            "regions": decimal("Regions", format="%d"),
            "review": "Reviewed",
            "note": "Note",
            **hidden,
        },
    )
    if pages > 1:
        st.pagination(pages, key=turned)


def _page_key(batch: int, view: View) -> str:
    """Of the widget that turns the table's pages; another filter begins on the first one."""
    return f"page-{batch}-{view.key}"


def _row(
    found: StoredInspection, policy: Policy, line: Line, decided: Sequence[ReviewRow]
) -> dict[str, object]:
    look, labels = LOOKS[found.verdict(policy)], found.labels(policy)
    small = base64.b64encode(found.thumbnail()).decode("ascii")
    again = [] if found.row.same_as is None else ["the same file as another"]
    return {
        "picture": f"data:image/jpeg;base64,{small}" if small else None,
        "name": found.name,
        "verdict": [look.signed],
        "label": line.titles(labels),
        "probability": found.probabilities[labels[0]] if labels else None,
        "score": found.defect_score,
        "regions": len(found.regions(policy)) if found.mask_classes else None,
        "review": ", ".join(f"{r.decision} ({r.who})" for r in decided),
        "note": remarks(found.row.synthetic, found.foreign_score > FOREIGN, again),
    }


def opened_number(batch: int) -> int | None:
    """The inspection that is open in the viewer."""
    return st.session_state.get("opened-inspection", {}).get(batch)


def open_inspection(batch: int, number: int | None) -> None:
    """Open an inspection, or none."""
    st.session_state.setdefault("opened-inspection", {})[batch] = number


def steps(results: Results, view: View, total: int) -> StoredInspection | None:
    """Previous, next (keys P and N) and close (Escape) for the open inspection, which is returned;
    None where none is open or the filter left it out."""
    number = results.batch.id
    opened = opened_number(number)
    if opened is None:
        return None
    place = results.place_of(view.selection, opened, view.sorting)
    if place is None:
        return None

    def go(by: int) -> None:
        (there,) = results.page(view.selection, view.sorting, place + by, 1)
        open_inspection(number, there.id)
        st.session_state[_page_key(number, view)] = (place + by) // ROWS + 1

    columns = st.columns(3, gap="small")
    for column, label, by, end in (
        (columns[0], "Previous", -1, place == 0),
        (columns[1], "Next", 1, place == total - 1),
    ):
        column.button(
            label, shortcut=label[0], width="stretch", disabled=end, on_click=go, args=(by,)
        )
    columns[2].button(
        "Close", shortcut="Escape", width="stretch", on_click=open_inspection, args=(number, None)
    )
    found = results.one(opened)
    assert found is not None
    note = f"{place + 1:,} of {total:,}"
    st.html(
        heading(found.name, f"{note} · {SYNTHETIC.capitalize()}" if found.row.synthetic else note)
    )
    return found
