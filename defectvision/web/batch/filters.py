"""What of a batch is shown, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.report.looks import LOOKS, verdicts_of
from defectvision.store.results import Results
from defectvision.store.selection import Filter, Order, Selection, Sorting

ORDERS: dict[Order, str] = {
    "listed": "As listed",
    "defect_score": "Defect score",
    "verdict": "Verdict",
    "label": "Label",
    "name": "Image",
    "foreign_score": "Unlike the training images",
}
assert set(ORDERS) == set(get_args(Order))
COLUMNS: dict[str, Order] = {
    "name": "name",
    "verdict": "verdict",
    "label": "label",
    "score": "defect_score",
}  # of the table, by which a batch can be sorted


@dataclass(frozen=True)
class View:
    """What of a batch is shown, and how it is sorted."""

    selection: Selection
    sorting: Sorting

    @property
    def key(self) -> int:
        """Of the widgets that belong to the view. A moved threshold leaves them as they are."""
        return hash((self.selection.filter, self.sorting))


def _key(batch: int, name: str) -> str:
    return f"{name}-{batch}"


def show_class(batch: int, name: str) -> None:
    """Let the filter show one class only."""
    st.session_state[_key(batch, "filter-class")] = [name]


def show_scores(batch: int, low: float, high: float) -> None:
    """Let the filter show defect scores from `low` to `high` only."""
    st.session_state[_key(batch, "filter-score")] = (round(low, 2), round(high, 2))


def sort_by(batch: int, column: str) -> None:
    """Sort the whole batch by a column of the table; the other way round where it is so already."""
    order = COLUMNS.get(column)
    if order is None:
        return
    down = _key(batch, "descending")
    same = st.session_state.get(_key(batch, "order")) == order
    st.session_state[down] = same and not st.session_state.get(down, False)
    st.session_state[_key(batch, "order")] = order


def filters(results: Results, policy: Policy) -> View:
    """The widgets that choose what is shown; kept while the session lasts."""
    line = results.line
    key = partial(_key, results.batch.id)
    verdicts = st.pills(
        "Verdict",
        (*verdicts_of(line), Verdict.UNUSABLE),
        selection_mode="multi",
        format_func=lambda v: LOOKS[v].word,
        key=key("filter-verdict"),
        persist_state="session",
        help="Unusable is what a person called no part or a bad picture. Files that were not "
        "inspected have no verdict: they are on the Batches page, each with its reason.",
    )
    classes = st.multiselect(
        "Label",
        line.class_names,
        format_func=lambda name: line.title_of(name),
        placeholder="Any",
        key=key("filter-class"),
        persist_state="session",
    )
    low, high = 0.0, 1.0
    if line.can_accept:
        low, high = st.slider(
            "Defect score",
            0.0,
            1.0,
            (0.0, 1.0),
            0.01,
            key=key("filter-score"),
            persist_state="session",
        )
    text = st.text_input(
        "Name contains", key=key("filter-text"), icon=":material/search:", persist_state="session"
    )
    reviewed = st.segmented_control(
        "Reviewed",
        ["Any", "Yes", "No"],
        default="Any",
        required=True,
        key=key("filter-reviewed"),
        persist_state="session",
    )
    order = st.selectbox(
        "Sort by",
        list(ORDERS),
        format_func=ORDERS.__getitem__,
        key=key("order"),
        persist_state="session",
    )
    down = st.toggle("Descending", key=key("descending"), persist_state="session")
    chosen = Filter(
        frozenset(verdicts),
        frozenset(classes),
        low,
        high,
        text.strip(),
        {"Any": None, "Yes": True, "No": False}[reviewed or "Any"],
    )
    return View(results.selection(policy, chosen), Sorting(order, down))
