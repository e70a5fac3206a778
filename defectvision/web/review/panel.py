"""Decide on one image after the other, and compare who decided what."""

from __future__ import annotations

from typing import get_args

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.people import NotAllowedError, Person
from defectvision.report.export import Format
from defectvision.report.labelled_set import labelled_zip, reviewed_images
from defectvision.store import reviews
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ReviewRow
from defectvision.web.export_menu import Group
from defectvision.web.session.people import acting
from defectvision.words import counted, plain

ASKED_FOR = "asked-for"  # the image to decide on next, by its number
PARTS: dict[reviews.Part, str] = {
    "waiting": "Waiting",
    "disputed": "Disputed",
    "second": "Second opinion",
    "rest": "The rest",
}
assert set(PARTS) == set(get_args(reviews.Part))
DONE: dict[reviews.Part, str] = {
    "waiting": "No part of this batch waits for you any more.",
    "disputed": "No part of this batch is disputed.",
    "second": "Nothing waits for a second opinion of yours.",
    "rest": "Every part that the model is sure of is decided on as well.",
}
ACCEPT, REJECT = Verdict.ACCEPT.value, Verdict.REJECT.value


def choose_part() -> reviews.Part:
    """Which of the parts to decide on."""
    part: reviews.Part = st.segmented_control(
        "Parts",
        list(PARTS),
        format_func=PARTS.__getitem__,
        default="waiting",
        required=True,
        key="review-part",
        persist_state="session",
        help="Waiting: those that the model leaves to a person, and those that others dispute. "
        "The rest: those that the model is sure of.",
    )
    return part


def asked_for() -> None:
    """Open the image of the page's address first."""
    number = st.query_params.get("image", "")
    if number.isdigit():
        st.session_state[ASKED_FOR] = int(number)
        del st.query_params["image"]


def progress_words(results: Results, policy: Policy) -> str:
    """How far people are: "12 wait, 2 of them disputed, 3 done"."""
    with results.store.reading() as session:
        found = reviews.progress(session, results.selection(policy))
    waiting = f"{found.waiting:,} {'waits' if found.waiting == 1 else 'wait'} for a person"
    disputed = f", {found.disputed:,} of them disputed" if found.disputed else ""
    return f"{waiting}{disputed}, {found.decided:,} decided"


def next_image(
    results: Results, policy: Policy, who: str, part: reviews.Part
) -> StoredInspection | None:
    """The image to decide on: the one that was asked for by the page's address or taken back, else
    the most doubtful one; what was skipped comes again when nothing else is left."""
    number = results.batch.id
    skipped: list[int] = st.session_state.setdefault(f"skipped-{number}", [])
    with results.store.reading() as session:
        waiting = [row.id for row in reviews.queue(session, results.selection(policy), who, part)]
    if (back := st.session_state.get(ASKED_FOR)) and (found := results.one(back)):
        return found
    if not waiting:
        return None
    left = [i for i in waiting if i not in skipped]
    if not left:
        skipped.clear()
        left = waiting
    return results.one(left[0])


def skip_and_undo(results: Results, stored: StoredInspection, who: Person) -> None:
    """Skip (S), which comes to the image again after the others, and undo (U)."""

    def skip() -> None:
        st.session_state[f"skipped-{results.batch.id}"].append(stored.id)
        st.session_state.pop(ASKED_FOR, None)

    with st.grid(2, gap="small", min_column_width=110):
        st.button("Skip", icon=":material/skip_next:", shortcut="S", width="stretch", on_click=skip)
        undo_button(results, who)


def undo_button(results: Results, who: Person) -> None:
    """Takes back the last decision of `who` in the batch, and shows its image again."""
    with results.store.reading() as session:
        last = reviews.last_of(session, results.batch.id, who.name)

    def undo(review: ReviewRow) -> None:
        try:
            with results.store.session() as session:
                reviews.undo(session, review.id, acting())
        except (StoreError, NotAllowedError) as error:
            st.toast(plain(str(error)), icon=":material/info:")
        st.session_state[ASKED_FOR] = review.inspection_id

    st.button(
        "Undo",
        icon=":material/undo:",
        shortcut="U",
        width="stretch",
        disabled=last is None,
        on_click=undo,
        args=(last,),
    )


def agreement_table(results: Results, policy: Policy) -> None:
    """How far reviewers and model agree, as attribute agreement analysis gives it."""
    with results.store.reading() as session:
        pairs = reviews.agreements(session, results.selection(policy))
    st.subheader("Agreement", icon=":material/handshake:")
    if not pairs:
        with results.store.reading() as session:
            decided = reviews.progress(session, results.selection(policy)).decided
        st.caption(_nothing_compared(decided, results.line.can_accept))
        return
    rows = []
    for pair in pairs:
        counts = pair.counts
        rows.append(
            {
                "Reviewer": pair.first,
                "Against": pair.second,
                "Parts": pair.parts,
                "Agree": None if pair.share is None else 100 * pair.share,
                "Kappa": "–" if pair.kappa is None else f"{pair.kappa:.2f}",
                "Both accept": counts.get((ACCEPT, ACCEPT), 0),
                "Both reject": counts.get((REJECT, REJECT), 0),
                "Only first rejects": counts.get((REJECT, ACCEPT), 0),
                "Only second rejects": counts.get((ACCEPT, REJECT), 0),
            }
        )
    st.dataframe(
        rows,
        hide_index=True,
        alt="Agreement of reviewers and model",
        column_config={
            "Agree": st.column_config.NumberColumn(format="%.1f %%"),
            "Kappa": st.column_config.TextColumn(
                help="Cohen's kappa: agreement beyond chance, 1 where both always agree; – where "
                "both gave all parts the same verdict, so that it cannot be told from chance.",
            ),
        },
    )
    st.caption("Parts that the model leaves to review are not compared with it.")


def _nothing_compared(decided: int, sure: bool) -> str:
    """Why no reviewer can be compared with anybody, and what would let it be. sure: whether the
    model is sure of some parts of the line."""
    both = "this compares each reviewer with the model's verdict and with the other reviewers"
    if not decided:
        return f"Once parts are decided on, {both}."
    rest = "Decide on some that the model is sure of, under *The rest*, or let" if sure else "Let"
    return (
        f"{counted(decided, 'part is', 'parts are')} decided on, and none has two verdicts to "
        "compare: the model has none of its own on what it leaves to review, and no second person "
        f"has decided on them. {rest} somebody else decide on the same ones; then {both}."
    )


def labelled_set(results: Results) -> Group:
    """The reviewed images as a set to train on."""

    def make() -> bytes:
        return labelled_zip(reviewed_images(results))

    title = (
        "Reviewed images with index.csv, ready for `defectvision train`. Images whose reviewers "
        "disagree, or whose picture was not kept, are left out."
    )
    formats = (Format("Labelled set", ".zip", "application/zip", make),)
    return Group(title, f"defectvision_reviewed_{results.batch.id}", formats)
