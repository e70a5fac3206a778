"""Two batches of the same images: verdicts before and after, and images on which they differ."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import streamlit as st

from defectvision.bundle.policy import Verdict
from defectvision.report.changes import SIDES, changes_csv, changes_of, in_words
from defectvision.report.export import Format
from defectvision.report.looks import LOOKS, verdicts_of
from defectvision.store import batches
from defectvision.store.changes import Cell, Changes, Counts, Pair
from defectvision.store.database import Store
from defectvision.store.results import Results
from defectvision.store.tables import BatchRow
from defectvision.web.batch.browser import open_inspection
from defectvision.web.judged_table import (
    HEAD_HEIGHT,
    MOST_ROWS,
    ROW_HEIGHT,
    score_column,
    verdict_column,
)
from defectvision.web.links import PAGES
from defectvision.web.matrix import button_matrix
from defectvision.web.viewer.pictures import encoded_url
from defectvision.web.widgets import part_of_more
from defectvision.words import counted, plain

ROWS = 25  # of a page of the table
BEFORE, AFTER = "before", "batch"  # of the page's address: numbers of the two batches


@dataclass(frozen=True)
class Chosen:
    """The two batches, and the cell whose images are listed; None for all that changed."""

    changes: Changes
    cell: Cell | None

    @property
    def numbers(self) -> tuple[int, int]:
        return self.changes.before.batch.id, self.changes.after.batch.id

    @property
    def stem(self) -> str:
        before, after = self.numbers
        return f"defectvision_changes_{before}_{after}"

    @property
    def formats(self) -> list[Format]:
        return [Format("CSV", ".csv", "text/csv", partial(changes_csv, self.changes, self.cell))]


def choose_two(store: Store) -> Chosen | None:
    """The batches of the page's address, else the newest that was inspected again and the one whose
    images it has; None where no line has two."""
    with store.reading() as session:
        rows = batches.list_batches(session, most=500)
    lines = [row.line for row in rows]
    known = {row.id: row for row in rows if lines.count(row.line) > 1}
    if not known:
        return None
    again = (number for number, row in known.items() if row.source.again_of in known)
    after = _asked(AFTER, known, "Batch", next(again, next(iter(known))))
    line = known[after].line
    others = {n: row for n, row in known.items() if n != after and row.line == line}
    origin = known[after].source.again_of
    before = _asked(BEFORE, others, "Compared with", origin if origin in others else None)
    decided = st.toggle(
        "Count people's decisions",
        False,
        key="changes-decided",
        persist_state="session",
        help="Else what the models say is compared: a decision on a part of one batch says nothing "
        "of the model of the other.",
    )
    changes = changes_of(Results.open(store, before), Results.open(store, after), decided)
    return Chosen(changes, st.session_state.get(_cell_key(before, after)))


def _asked(name: str, known: dict[int, BatchRow], label: str, first: int | None) -> int:
    """What the address says, or else `first`, in a widget that changes it."""
    said = st.query_params.get(name, "")
    number = int(said) if said.isdigit() and int(said) in known else first or next(iter(known))
    key = f"changes-{name}"
    st.session_state[key] = number

    def chosen() -> None:
        st.query_params[name] = str(st.session_state[key])

    st.selectbox(
        label,
        list(known),
        format_func=lambda n: f"{n} · {known[n].title} · {known[n].bundle}",
        key=key,
        on_change=chosen,
        filter_mode=None,
    )
    st.query_params[name] = str(number)
    return number


def matrix(chosen: Chosen) -> Counts:
    """How many images went from which verdict to which; a click lists those of a cell."""
    changes = chosen.changes
    counts = changes.counts()
    box = st.info if counts.changed or counts.renamed or not counts.images else st.success
    box(in_words(counts), icon=":material/compare_arrows:")
    before, after = changes.before.batch, changes.after.batch
    st.caption(
        plain(
            f"Batch {before.id} with {before.bundle} ({before.bundle_version}), batch {after.id} "
            f"with {after.bundle} ({after.bundle_version}). Matched by the content of the files; "
            "each under the policy that is in force for it. "
            + ("What people decided counts." if changes.decided else "What the models say.")
        )
    )
    if failed := changes.after.errors():
        st.warning(
            plain(f"{counted(len(failed), 'file')} of batch {after.id} could not be inspected, ")
            + "for example "
            + plain(f"{failed[0].name}: {failed[0].reason}. The Batches page lists them."),
            icon=":material/broken_image:",
        )
    if not counts.images:
        return counts
    shown = _verdicts(changes, counts)
    titles = {verdict.value: LOOKS[verdict].markdown for verdict in shown}
    values = {(one.value, two.value): n for (one, two), n in counts.verdicts.items()}
    cell = chosen.cell
    with st.container(width=720):
        button_matrix(
            "changes",
            titles,
            titles,
            values,
            partial(_list_cell, chosen.numbers),
            None if cell is None else (cell[0].value, cell[1].value),
            {(one.value, two.value) for one, two in counts.verdicts if one != two},
            "orange",
            corner="before ↓  after →",
        )
    return counts


def _verdicts(changes: Changes, counts: Counts) -> list[Verdict]:
    """Those that the line can come to, and what else was said."""
    said = {verdict for cell in counts.verdicts for verdict in cell}
    wanted = {*verdicts_of(changes.after.line), *said}
    return [verdict for verdict in LOOKS if verdict in wanted]


def _cell_key(before: int, after: int) -> str:
    return f"changes-cell-{before}-{after}"


def _list_cell(numbers: tuple[int, int], before: str, after: str) -> None:
    """List the images of a cell; all that changed where they are listed already."""
    key, cell = _cell_key(*numbers), (Verdict(before), Verdict(after))
    st.session_state[key] = None if st.session_state.get(key) == cell else cell


def changed_images(chosen: Chosen, counts: Counts) -> None:
    """The images of the cell, else all that changed, and the way to one in either batch."""
    cell, changes = chosen.cell, chosen.changes
    total = counts.changed + counts.renamed if cell is None else counts.verdicts.get(cell, 0)
    words = "Changed verdict or defect"
    if cell is not None:
        words = f"Before {LOOKS[cell[0]].word.lower()}, after {LOOKS[cell[1]].word.lower()}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words}**: {counted(total, 'image')}", width="stretch")
        if cell is not None:
            st.button(
                "All that changed",
                icon=":material/filter_alt_off:",
                on_click=_list_cell,
                args=(chosen.numbers, cell[0].value, cell[1].value),
            )
    if not total:
        st.caption("Click into the table above to see images whose verdict stayed.")
        return
    pages = -(-total // ROWS)
    turned = f"changes-page-{chosen.numbers}-{cell}"
    at = min(st.session_state.get(turned, 1), pages)
    pairs = changes.page(cell, (at - 1) * ROWS, ROWS)
    ways = st.container(horizontal=True, vertical_alignment="center", key="changes-ways")
    with part_of_more(pages > 1):
        place = _table(changes, pairs, f"{turned}-{at}")
    if pages > 1:
        st.pagination(pages, key=turned)
    with ways:
        if place is None or place >= len(pairs):
            st.caption("Click into a row for the ways to its image in either batch.")
        else:
            _ways(chosen, pairs[place])


def _table(changes: Changes, pairs: list[Pair], key: str) -> int | None:
    """The pairs; returns the place of the one that is chosen."""
    rows = []
    for pair in pairs:
        row: dict[str, object] = {"name": pair[1].name}
        thumbnail = pair[1].thumbnail() or pair[0].thumbnail()
        row["picture"] = encoded_url(thumbnail, "jpeg") if thumbnail else None
        for side, found, policy in zip(SIDES, pair, changes.policies, strict=True):
            verdict, labels = changes.said(found, policy)
            row[f"verdict {side}"] = [LOOKS[verdict].signed]
            row[f"label {side}"] = "" if found.classless else found.line.titles(labels)
            row[f"score {side}"] = found.defect_score
            row[f"decided {side}"] = found.decision.who if found.decision else ""
        rows.append(row)
    scores = [[found.defect_score for found in side] for side in zip(*pairs, strict=True)]
    score = {
        f"score {side}": score_column(of_side, policy, f"Score {side}")
        for side, of_side, policy in zip(SIDES, scores, changes.policies, strict=True)
    }
    before, after = (f"batch {side.batch.id}" for side in (changes.before, changes.after))
    decided = {name: any(row[name] for row in rows) for name in ("decided before", "decided after")}
    event = st.dataframe(
        rows,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=HEAD_HEIGHT + ROW_HEIGHT * min(len(rows), MOST_ROWS) + 3,
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        alt="Images with verdicts, classes and scores before and after",
        column_order=[
            *("picture", "name", "verdict before", "verdict after"),
            *("score before", "score after", "label before", "label after"),
            *(name for name, some in decided.items() if some),
        ],
        column_config={
            "picture": st.column_config.ImageColumn("", width=48),
            "name": st.column_config.TextColumn("Image", width="medium"),
            "verdict before": verdict_column(f"Verdict, {before}"),
            "verdict after": verdict_column(f"Verdict, {after}"),
            **score,
            "label before": "Label before",
            "label after": "Label after",
            "decided before": "Decided before by",
            "decided after": "Decided after by",
        },
    )
    places = [*(row for row, _ in event.selection.cells), *event.selection.rows]
    return places[0] if places else None


def _ways(chosen: Chosen, pair: Pair) -> None:
    """To the image in either batch."""
    st.markdown(f"**{plain(pair[1].name)}**", width="content")
    for number, found in zip(chosen.numbers, pair, strict=True):
        if st.button(f"Open in batch {number}", icon=":material/open_in_new:"):
            open_inspection(number, found.id)
            st.switch_page(PAGES / "results.py", query_params={"batch": str(number)})
