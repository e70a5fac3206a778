"""Where the pages lie, and links from one to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import streamlit as st

from defectvision.people import Action, Person
from defectvision.settings import ROOT

if TYPE_CHECKING:
    from defectvision.store.database import Store
    from defectvision.store.tables import BatchRow

PAGES = ROOT / "pages"
LINES = PAGES / "lines.py"
ALL = "all-of-page"  # key of the button from one thing to all of its page; keys.js presses it
NEW_LINE, FORM = "new", "line"  # of the address of the Lines page: its form, else a run's name
LINE, BUNDLE = "line", "bundle"  # of the address of pages with a choice of line


def bundle_key(line: str) -> str:
    """In the session's state: the bundle that is chosen for a line."""
    return f"bundle-{line}"


def line_address(line: str, bundle: str = "") -> dict[str, str]:
    """What the address of a page with a choice of line says of it; bundle: empty for the default
    one."""
    return {LINE: line, BUNDLE: bundle} if bundle else {LINE: line}


def batches_link() -> None:
    """To the page where a batch is started."""
    st.page_link(PAGES / "batches.py", label="Batches", icon=":material/inventory_2:")


def new_line_way(who: Person, place: str) -> None:
    """To the form that makes a line from photographs of good parts, for those who may; there may be
    several ways, each a `place` of the page."""
    if not who.may(Action.TEACH):
        return
    icon, key = ":material/add_photo_alternate:", f"new-line-{place}"
    if st.button("New line from good parts", key=key, icon=icon, type="tertiary"):
        st.switch_page(LINES, query_params={NEW_LINE: FORM})


def open_line(line: str, bundle: str) -> NoReturn:
    """Go to the Inspect page with this line and bundle chosen on it."""
    st.switch_page(PAGES / "inspect.py", query_params=line_address(line, bundle))


def evaluate_way(line: str, bundle: str) -> None:
    """To the form that evaluates this bundle."""
    key = f"evaluate-{line}-{bundle}"
    if st.button("Evaluate", key=key, icon=":material/fact_check:"):
        st.session_state[f"evaluate-bundles-{line}"] = [bundle]
        st.switch_page(PAGES / "evaluate.py", query_params=line_address(line, bundle))


def review_link(batch: int, image: int) -> None:
    """To the decision on one part."""
    st.page_link(
        PAGES / "review.py",
        label="Open in Review",
        icon=":material/how_to_reg:",
        query_params={"batch": str(batch), "image": str(image)},
    )


def floor_link(batch: int, image: int) -> None:
    """To one part's verdict, to be read from afar."""
    st.page_link(
        PAGES / "floor.py",
        label="Shop-floor view",
        icon=":material/tv:",
        query_params={"batch": str(batch), "image": str(image)},
    )


def results_link(batch: int, label: str = "Results") -> None:
    """To what was found in a batch."""
    st.page_link(
        PAGES / "results.py",
        label=label,
        icon=":material/table_view:",
        query_params={"batch": str(batch)},
    )


def changes_link(store: Store, batch: BatchRow) -> None:
    """To what changed since the batch whose images this one inspected again; nothing where it is
    gone, or was of another line, whose verdicts are about something else."""
    from defectvision.store.tables import BatchRow  # the first page does without a database

    before = batch.source.again_of
    with store.reading() as session:
        origin = None if before is None else session.get(BatchRow, before)
    if origin is None or origin.line != batch.line:
        return
    st.page_link(
        PAGES / "changes.py",
        label=f"Changes since batch {before}",
        icon=":material/compare_arrows:",
        query_params={"batch": str(batch.id), "before": str(before)},
    )
