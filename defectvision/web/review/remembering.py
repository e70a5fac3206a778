"""Good parts that were stopped join what the bundle remembers, by one click."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from defectvision.batch.remembered import Part, Remembered, some_names
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.evaluation.seen import DIGITS, digests_of
from defectvision.inference.image_error import ImageError
from defectvision.people import Action, NotAllowedError, Person
from defectvision.report.looks import LOOKS
from defectvision.settings import settings
from defectvision.store.errors import StoreError
from defectvision.store.grown_bundle import versions_of
from defectvision.store.results import Results
from defectvision.store.reviews import stopped_good
from defectvision.store.tables import InspectionRow
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.web.links import LINES, line_address
from defectvision.web.session.people import acting, ready
from defectvision.words import counted, plain

DONE = "remembered"  # of the session, what came of the last click


def remember_stopped(
    results: Results, loaded: LoadedBundle, who: Person, opened: int | None = None
) -> None:
    """The way for good parts of a batch that the policy in force stops, the `opened` one first, to
    join what its bundle remembers; nothing where the bundle remembers none, or who is there may
    not."""
    if not loaded.bundle.remembers or not who.may(Action.TEACH):
        return
    _said(results)
    selection = results.selection(results.policy_in_force().policy)
    with results.store.reading() as session:
        rows = stopped_good(session, selection)
    if not rows:
        return
    with st.container(border=True, key="remember"):
        st.markdown(f"**{counted(len(rows), 'good part was', 'good parts were')} stopped**")
        base = _whose(loaded)
        if base is None:
            return
        known = digests_of(base.folder)
        left = [row for row in rows if (row.digest or "")[:DIGITS] not in known]
        if not left:
            st.caption(f"{plain(base.bundle.name)} remembers them all.")
            return
        name, again = plain(base.bundle.name), len(rows) - len(left)
        known_words = f"{name} remembers {again} of them already. " if again else ""
        st.caption(
            f"{known_words}What can join what **{name}** remembers, as a version beside it: "
            f"{plain(some_names(left))}. Nothing is trained, the limit stays, and the version is "
            "in force for nobody before somebody makes it the default on the Lines page."
        )
        able = ready(who, Action.TEACH)
        one = [row for row in left if row.id == opened]
        with st.container(horizontal=True):
            if one and _button("Remember this part", "this", able):
                _remember(results, base, one)
            words = f"Remember {'all ' if len(left) > 1 else ''}{counted(len(left), 'part')}"
            if (len(left) > 1 or not one) and _button(words, "all", able):
                _remember(results, base, left)


def _button(words: str, key: str, able: bool) -> bool:
    return st.button(
        words,
        key=f"remember-{key}",
        icon=":material/add_task:",
        disabled=not able,
        help="Shows how the scores of all parts that people decided on change, good and defective, "
        "before anybody relies on it.",
    )


def _whose(loaded: LoadedBundle) -> LoadedBundle | None:
    """The bundle whose next version it is: the newest of those that came from this one, or another
    of them."""
    names = versions_of(bundle_names(loaded.line.name), loaded.bundle.name)
    name = loaded.bundle.name
    if len(names) > 1:
        name = st.selectbox(
            "Into",
            names,
            index=len(names) - 1,
            key=f"remember-into-{loaded.line.name}-{len(names)}",
            filter_mode=None,
            help="A version remembers what the one that it is made from remembers. Choose an "
            "earlier one where something joined that should not have.",
        )
    try:
        return loaded_bundle(loaded.line.name, name)
    except BundleError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return None


def _remember(results: Results, base: LoadedBundle, rows: Sequence[InspectionRow]) -> None:
    from defectvision.batch.remembering import remember_parts

    bar = st.progress(0.0, "Looking at what the parts lack")

    def advance(done: int, total: int) -> None:
        bar.progress(done / total, f"Comparing both versions: {done:,} of {total:,}")

    try:
        numbers = [row.id for row in rows]
        found = remember_parts(results.store, base, numbers, acting(), settings().limits, advance)
    except (StoreError, ImageError, BundleError, NotAllowedError) as error:
        bar.empty()
        st.error(plain(str(error)), title="Not remembered", icon=":material/error:")
        return
    st.session_state[DONE] = results.batch.id, found
    st.rerun()


def _said(results: Results) -> None:
    """What came of the last click, until it is put away."""
    number, found = st.session_state.get(DONE, (None, None))
    if number != results.batch.id:
        return
    with st.container(border=True, key="remembered"):
        name, warnings = found.bundle.bundle.name, found.warnings
        said = st.warning if warnings else st.success
        said(
            plain(" ".join([*warnings, found.words])),
            title=plain(f"{name} remembers {counted(len(found.joined), 'part')} more"),
            icon=":material/warning:" if warnings else ":material/check_circle:",
        )
        _table(found)
        with st.container(horizontal=True):
            st.page_link(
                LINES,
                label="Lines",
                icon=":material/category:",
                query_params=line_address(results.batch.line),
            )
            st.button("Close", key="remembered-close", on_click=_put_away)


def _put_away() -> None:
    st.session_state.pop(DONE, None)


def _table(found: Remembered) -> None:
    order = sorted(found.parts, key=lambda part: (not part.joined, part.good, -part.fell))
    st.dataframe(
        [_row(part) for part in order],
        hide_index=True,
        alt="Parts that people decided on, under both versions",
        column_config={
            "Before": st.column_config.NumberColumn(format="%.3f", help="Defect score before"),
            "After": st.column_config.NumberColumn(format="%.3f", help="Defect score after"),
        },
    )


def _row(part: Part) -> dict[str, object]:
    kind = "joined" if part.joined else "good" if part.good else "defective"
    return {
        "Part": part.name,
        "Is": kind,
        "Before": part.before,
        "After": part.after,
        "Was": LOOKS[part.was].word,
        "Now": LOOKS[part.now].word,
    }
