"""Decide on one image after the other, and compare who decided what."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.labels import SEPARATOR
from defectvision.bundle.policy import Policy, Verdict
from defectvision.report.export import Format
from defectvision.report.labelled_set import labelled_zip, reviewed_images
from defectvision.report.looks import LOOKS
from defectvision.store import reviews
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.store.tables import ReviewRow
from defectvision.web.export_menu import Group
from defectvision.words import plain

ACCEPT, REJECT = Verdict.ACCEPT.value, Verdict.REJECT.value
MOST_KEYS = 9  # classes that have a digit as their key


def next_image(
    results: Results, policy: Policy, who: str, second: bool
) -> tuple[StoredInspection | None, int]:
    """The image to decide on, and how many wait with it, at most `reviews.MOST`; what was skipped
    comes again when nothing else is left."""
    number = results.batch.id
    skipped: list[int] = st.session_state.setdefault(f"skipped-{number}", [])
    with results.store.reading() as session:
        waiting = [r.id for r in reviews.queue(session, results.selection(policy), who, second)]
    if not waiting:
        return None, 0
    back = st.session_state.pop("taken-back", None)
    left = [i for i in waiting if i not in skipped]
    if not left:
        skipped.clear()
        left = waiting
    chosen = back if back in waiting else left[0]
    return results.one(chosen), len(waiting)


def decision_buttons(results: Results, stored: StoredInspection, policy: Policy, who: str) -> None:
    """Accept (A), reject (X) or a defect by its digit, skip (S), undo (U), and a note."""
    line, store = results.line, results.store
    note = f"note-{stored.id}"

    def decide(decision: str, label: str) -> None:
        why = st.session_state.get(note, "")
        try:
            with store.session() as session:
                reviews.decide(session, stored.id, who, decision, policy, label, why)
        except StoreError as error:
            st.toast(plain(str(error)), icon=":material/error:")

    def skip() -> None:
        st.session_state[f"skipped-{results.batch.id}"].append(stored.id)

    defects = [c for c in line.classes if c.kind == "defect"]
    good = next((c.name for c in line.classes if c.kind == "ok"), "")
    named = [n for n in stored.labels(policy) if n in {c.name for c in defects}]
    guess = SEPARATOR.join(named) or max(
        (c.name for c in defects), key=lambda n: stored.probabilities[n]
    )
    left, right = st.columns(2, gap="small")
    if line.can_accept:
        look = LOOKS[Verdict.ACCEPT]
        left.button(
            look.word,
            icon=look.icon,
            shortcut="A",
            width="stretch",
            on_click=decide,
            args=(ACCEPT, good),
        )
    look = LOOKS[Verdict.REJECT]
    right.button(
        look.word,
        icon=look.icon,
        shortcut="X",
        width="stretch",
        on_click=decide,
        args=(REJECT, guess),
        help="With the model's label; press a class below for another one.",
    )
    if len(defects) > 1:
        st.caption("Reject as")
        with st.container(horizontal=True, gap="small"):
            for place, about in enumerate(defects, 1):
                st.button(
                    about.title,
                    key=f"reject-{about.name}",
                    shortcut=str(place) if place <= MOST_KEYS else None,
                    on_click=decide,
                    args=(REJECT, about.name),
                )
    st.text_input("Note", key=note, max_chars=500, placeholder="kept with the decision")
    left, right = st.columns(2, gap="small")
    left.button("Skip", icon=":material/skip_next:", shortcut="S", width="stretch", on_click=skip)
    with right:
        undo_button(results, who)


def undo_button(results: Results, who: str) -> None:
    """Takes back the last decision of `who` in the batch, and shows its image again."""
    with results.store.reading() as session:
        last = reviews.last_of(session, results.batch.id, who)

    def undo(review: ReviewRow) -> None:
        try:
            with results.store.session() as session:
                reviews.undo(session, review.id, who)
        except StoreError as error:
            st.toast(plain(str(error)), icon=":material/info:")
        st.session_state["taken-back"] = review.inspection_id

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
        st.caption(
            "Once parts are decided on, this compares each reviewer with the model's verdict and "
            "with the other reviewers."
        )
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
                "Kappa": pair.kappa,
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
            "Kappa": st.column_config.NumberColumn(
                format="%.2f",
                help="Cohen's kappa: agreement beyond chance, 1 where both always agree.",
            ),
        },
    )
    st.caption("Parts that the model leaves to review are not compared with it.")


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
