"""The images of a batch under filter and policy: counts, one page of the table, the open one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.looks import IMAGES, LOOKS, NOT_INSPECTED, verdicts_in
from defectvision.report.lot_words import plain_markdown, replaced_since, without_verdict
from defectvision.store import reviews
from defectvision.store.inspections import Summary
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ReviewRow
from defectvision.web.batch.filters import View, sort_by
from defectvision.web.judged_table import Row, hidden_columns, judged_table
from defectvision.web.session.work import Work
from defectvision.web.steps import step_control
from defectvision.web.widgets import part_of_more
from defectvision.words import counted, percentage, plain

ROWS = 25  # of a page of the table
CALLED_UNUSABLE = "No part, or a bad picture, as a person said: neither good nor bad."
FAILED = "Files that could not be read or inspected: on the Batches page, each with its reason."


def tiles(results: Results, lot: Summary, failed: int) -> None:
    """Counts of the whole lot, whatever the filter leaves of it."""
    shown = [(IMAGES.word, f"{lot.images:,}", "")]
    for verdict in verdicts_in(results.line, lot.verdicts):
        help = CALLED_UNUSABLE if verdict == Verdict.UNUSABLE else ""
        shown.append((LOOKS[verdict].markdown, f"{lot.verdicts[verdict]:,}", help))
    if results.line.can_accept:
        share = lot.yield_share
        shown.append(
            ("Yield", "–" if share is None else percentage(share), yield_words(lot).capitalize())
        )
    shown.append((NOT_INSPECTED.word, f"{failed:,}", FAILED))
    if lot.decided:
        shown.append(("Decided by people", f"{lot.decided:,}", ""))
    with st.container(key="batch-tiles"), st.grid(len(shown), gap="small", min_column_width=110):
        for label, value, help in shown:
            st.metric(label, value, border=True, help=help or None)
    if results.line.can_accept and lot.verdicts[Verdict.REVIEW]:
        st.caption(f"Yield: {yield_words(lot)}")


def yield_words(lot: Summary) -> str:
    """Of which parts the yield is the share that is accepted, in a sentence."""
    judged = lot.verdicts[Verdict.ACCEPT] + lot.verdicts[Verdict.REJECT]
    waiting = lot.verdicts[Verdict.REVIEW]
    left = f"; {waiting:,} {'waits' if waiting == 1 else 'wait'} for a person" if waiting else ""
    if not judged:
        return f"no part is accepted or rejected yet{left}."
    return f"accepted, of {counted(judged, 'part')} accepted or rejected{left}."


def cautions(results: Results, lot: Summary, loaded: LoadedBundle) -> None:
    """What must be known of the lot before anything else: its line and bundle, and what is amiss
    with either."""
    st.caption(plain(f"{results.line.title}, with the model {results.batch.bundle}"))
    if words := without_verdict(lot, results.line):
        st.error(plain(words), icon=":material/report:")
    caution = replaced_since(results.batch.bundle_version, loaded) or loaded.bundle.caution
    if caution:
        st.warning(plain(plain_markdown(caution)), icon=":material/warning:")


def opened_number(batch: int) -> int | None:
    """The inspection that is open in the viewer."""
    opened: dict[int, int | None] = st.session_state.get("opened-inspection", {})
    return opened.get(batch)


def open_inspection(batch: int, number: int | None) -> None:
    """Open an inspection, or none."""
    st.session_state.setdefault("opened-inspection", {})[batch] = number


def opened_image(results: Results, view: View) -> tuple[StoredInspection, int] | None:
    """The open inspection and its place in the order; None where none is open or the filter left
    it out."""
    number = opened_number(results.batch.id)
    if number is None:
        return None
    place = results.place_of(view.selection, number, view.sorting)
    stored = results.one(number)
    return None if place is None or stored is None else (stored, place)


def steps(results: Results, view: View, stored: StoredInspection, place: int, total: int) -> None:
    """From the open inspection to its neighbours, and the table's page with it."""
    batch = results.batch.id

    def go(there: int) -> None:
        (one,) = results.page(view.selection, view.sorting, there, 1)
        open_inspection(batch, one.id)
        st.session_state[_page_key(batch, view)] = there // ROWS + 1

    def close() -> None:
        open_inspection(batch, None)

    step_control(stored.name, place, total, stored.row.synthetic, go, close)


def table(work: Work, results: Results, view: View, total: int) -> None:
    """A page of what the filter leaves; a click into a row opens its image."""
    number, policy = results.batch.id, view.selection.policy
    pages = max(1, -(-total // ROWS))
    turned = _page_key(number, view)
    # A moved threshold can leave fewer pages than the one that is open.
    at = min(st.session_state.get(turned, 1), pages)
    if st.session_state.get(turned, at) != at:
        st.session_state[turned] = at
    rows = results.page(view.selection, view.sorting, (at - 1) * ROWS, ROWS)
    opened = opened_number(number)
    with results.store.reading() as session:
        decided = reviews.reviews_of(session, [row.id for row in rows])
    with part_of_more(pages > 1):
        judged_table(
            [_row(work, row, policy, decided.get(row.id, [])) for row in rows],
            policy,
            hidden_columns(results.line, results.batch.mask_classes, reviewed=True),
            next((place for place, row in enumerate(rows) if row.id == opened), None),
            lambda place: open_inspection(number, rows[place].id),
            f"rows-{number}-{at}-{view.key}",
            partial(sort_by, number) if pages > 1 else None,
        )
    if pages > 1:
        st.pagination(pages, key=turned)


def _page_key(batch: int, view: View) -> str:
    """Of the widget that turns the table's pages; another filter begins on the first one."""
    return f"page-{batch}-{view.key}"


def _row(work: Work, stored: StoredInspection, policy: Policy, decided: Sequence[ReviewRow]) -> Row:
    again = () if stored.row.same_as is None else ("the same file as another",)
    regions = work.cuts.regions(stored.row.digest or stored.name, stored, policy)
    return Row(
        stored.name,
        stored,
        thumbnail=stored.thumbnail(),
        regions=regions,
        synthetic=stored.row.synthetic,
        others=(*again, *filter(None, [stored.lost])),
        reviews=", ".join(f"{r.decision} ({r.who})" for r in decided),
    )
